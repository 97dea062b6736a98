//! Checkpoints: everything that the next step depends on, written so that each is whole or absent.
//!
//! `step-00000500/` is a Hugging Face folder with f32 weights, or peft's folder of an adapter. Beside them lie the
//! optimizer's moments, the moving average of the weights, and `state.json`, which holds the step (with the seed, that
//! is the state of all randomness and the place in the data) and the SHA-256 of every file. A folder is written under
//! another name and renamed once all of it is on the disk.
//!
//! What the processes of a run have divided among them, each of them writes: its rows of every tensor, in files that
//! PyTorch's distributed checkpoints (DCP) have too. What all have, rank 0 writes.

mod digest;
mod find;
mod merge;
mod save;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use llada_model::Tokenizer;
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    digest::{hexadecimal, sha256},
    find::{newest_of_all, steps},
    save::save,
};
pub use self::{
    find::{Found, Skipped, newest},
    merge::merge,
};
use crate::{TrainError, config::RunConfig, state::TrainState};

/// The folders of the optimizer's moments and of the moving average, in a checkpoint.
const EXP_AVG: &str = "exp_avg";
const EXP_AVG_SQ: &str = "exp_avg_sq";
const EMA: &str = "ema";

/// The file that tells what a checkpoint is of, and what its files have to be.
const STATE: &str = "state.json";

/// The content of `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The number of steps that were made.
    pub step: u64,
    /// The number of tokens that were seen.
    pub tokens: u64,
    /// The dataset, by the digest of its `dataset.json`.
    pub data: String,
    /// The settings of the run.
    pub config: RunConfig,
    /// The SHA-256 of the other files, by their path in the folder.
    digests: BTreeMap<PathBuf, String>,
}

impl Manifest {
    /// Writes `state.json` into `folder`, which makes a checkpoint of it.
    fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let file = folder.join(STATE);
        let text = serde_json::to_string_pretty(self).map_err(|e| TrainError::file(&file, e))?;
        fs::write(&file, text + "\n").map_err(TrainError::write(&file))
    }
}

/// The checkpoint of step `step` in `checkpoints`.
pub(crate) fn folder(checkpoints: &Path, step: u64) -> PathBuf {
    checkpoints.join(format!("step-{step:08}"))
}

/// Takes over the checkpoint in `folder`, which [`newest_of_all`] has found whole: all of what each process has, and of what
/// is divided the share of this one, whoever has written it.
pub(crate) fn restore(folder: &Path, manifest: &Manifest, state: &mut TrainState) -> Result<(), TrainError> {
    state.model.restore(folder)?;
    state.optimizer.exp_avg.read(&folder.join(EXP_AVG))?;
    state.optimizer.exp_avg_sq.read(&folder.join(EXP_AVG_SQ))?;
    if let Some(ema) = &mut state.ema {
        ema.read(&folder.join(EMA))?;
    }
    state.step = manifest.step;
    state.tokens = manifest.tokens;
    Ok(())
}

/// Copies the files of a tokenizer that are there.
pub(crate) fn copy_tokenizer(from: Option<&Path>, to: &Path) -> Result<(), TrainError> {
    let Some(from) = from else { return Ok(()) };
    for file in Tokenizer::FILES {
        if from.join(file).exists() {
            copy(&from.join(file), &to.join(file))?;
        }
    }
    Ok(())
}

/// Copies a file into a folder that need not be there.
fn copy(from: &Path, to: &Path) -> Result<(), TrainError> {
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(TrainError::write(to))?;
    fs::copy(from, to).map_err(TrainError::write(to))?;
    Ok(())
}
