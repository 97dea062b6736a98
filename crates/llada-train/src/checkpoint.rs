//! Checkpoints: everything that the next step depends on, written so that each is whole or absent.
//!
//! `step-00000500/` is a Hugging Face folder with f32 weights, or peft's folder of an adapter. Beside them lie the
//! optimizer's moments, the moving average of the weights, and `state.json`, which holds the step (with the seed, that
//! is the state of all randomness and the place in the data) and the SHA-256 of every file. A folder is written under
//! another name and renamed once all of it is on the disk.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use llada_model::{Dtype, Parameters, Tokenizer, atomic::PendingFolder};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{TrainError, byte_order_mark, collective::Collective, config::RunConfig, loss::Loss, state::TrainState};

/// The folders of the optimizer's moments and of the moving average, in a checkpoint.
const EXP_AVG: &str = "exp_avg";
const EXP_AVG_SQ: &str = "exp_avg_sq";
const EMA: &str = "ema";

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

/// A checkpoint that could not be used.
#[derive(Debug)]
pub struct Skipped {
    /// The checkpoint.
    pub folder: PathBuf,
    /// The reason.
    pub error: TrainError,
}

/// The result of a search for a checkpoint.
#[derive(Debug)]
pub struct Found {
    /// The newest whole checkpoint.
    pub whole: Option<(PathBuf, Manifest)>,
    /// The damaged ones that are newer.
    pub skipped: Vec<Skipped>,
}

impl Manifest {
    pub(crate) fn new(step: u64, tokens: u64, data: &str, config: &RunConfig) -> Self {
        Self { step, tokens, data: data.to_owned(), config: config.clone(), digests: BTreeMap::new() }
    }
}

/// The checkpoint of step `step` in `checkpoints`.
pub(crate) fn folder(checkpoints: &Path, step: u64) -> PathBuf {
    checkpoints.join(format!("step-{step:08}"))
}

/// Writes a checkpoint into `checkpoints` and removes the oldest ones beyond `keep`, in rank 0, while the other processes
/// [`contribute`].
pub(crate) fn save(
    checkpoints: &Path,
    state: &TrainState,
    loss: &dyn Loss,
    tokenizer: Option<&Path>,
    mut manifest: Manifest,
    keep: usize,
    collective: &mut dyn Collective,
) -> Result<PathBuf, TrainError> {
    let pending = PendingFolder::create(&folder(checkpoints, manifest.step))?;
    let path = pending.path();
    state.model.save(path, Dtype::F32)?;
    copy_tokenizer(tokenizer, path)?;
    with_divided(state, collective, |name, numbers| save_parameters(numbers, &path.join(name)))?;
    loss.save(path)?;
    manifest.digests = digests(path)?;
    let file = path.join("state.json");
    let text = serde_json::to_string_pretty(&manifest).map_err(|e| TrainError::file(&file, e))?;
    fs::write(&file, text + "\n").map_err(TrainError::write(&file))?;
    let saved = pending.finish()?;
    for old in list(checkpoints)?.into_iter().skip(keep) {
        fs::remove_dir_all(&old).map_err(TrainError::write(&old))?;
    }
    Ok(saved)
}

/// Gives rank 0 what this process alone has of a checkpoint that is being saved.
pub(crate) fn contribute(state: &TrainState, collective: &mut dyn Collective) -> Result<(), TrainError> {
    with_divided(state, collective, |_, _| Ok(()))
}

/// Calls `write` with all moments and the moving average, by the names of their folders, in rank 0.
fn with_divided(
    state: &TrainState,
    collective: &mut dyn Collective,
    write: impl Fn(&str, &Parameters) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let optimizer = &state.optimizer;
    let moments = [(EXP_AVG, &optimizer.exp_avg), (EXP_AVG_SQ, &optimizer.exp_avg_sq)];
    for (name, own) in moments.into_iter().chain(state.ema.as_ref().map(|ema| (EMA, ema))) {
        if let Some(all) = optimizer.gather(own, state.model.weights(), collective)? {
            write(name, &all)?;
        }
    }
    Ok(())
}

fn save_parameters(parameters: &Parameters, folder: &Path) -> Result<(), TrainError> {
    fs::create_dir(folder).map_err(TrainError::write(folder))?;
    Ok(parameters.write(folder, Dtype::F32)?)
}

/// Takes over the checkpoint in `folder`, which [`newest`] has found whole.
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

/// Looks for the newest whole checkpoint in `checkpoints`.
///
/// # Errors
/// The folder cannot be listed.
pub fn newest(checkpoints: &Path) -> Result<Found, TrainError> {
    let mut found = Found { whole: None, skipped: Vec::new() };
    for folder in list(checkpoints)? {
        match verify(&folder) {
            Ok(manifest) => {
                found.whole = Some((folder, manifest));
                break;
            }
            Err(error) => found.skipped.push(Skipped { folder, error }),
        }
    }
    Ok(found)
}

/// Copies the files of a tokenizer that are there.
pub(crate) fn copy_tokenizer(from: Option<&Path>, to: &Path) -> Result<(), TrainError> {
    let Some(from) = from else { return Ok(()) };
    for file in Tokenizer::FILES {
        let (from, to) = (from.join(file), to.join(file));
        if from.exists() {
            fs::create_dir_all(to.parent().unwrap_or(&to)).map_err(TrainError::write(&to))?;
            fs::copy(from, &to).map_err(TrainError::write(&to))?;
        }
    }
    Ok(())
}

/// The folders of checkpoints, newest first.
fn list(checkpoints: &Path) -> Result<Vec<PathBuf>, TrainError> {
    if !checkpoints.exists() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(checkpoints).map_err(TrainError::read(checkpoints))? {
        let path = entry.map_err(TrainError::read(checkpoints))?.path();
        if let Some(step) = step_of(&path) {
            folders.push((step, path));
        }
    }
    folders.sort_unstable();
    Ok(folders.into_iter().rev().map(|(_, path)| path).collect())
}

/// The step that a folder is the checkpoint of, by its name.
fn step_of(folder: &Path) -> Option<u64> {
    folder.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
}

/// The manifest of a checkpoint whose files are those that were written.
fn verify(folder: &Path) -> Result<Manifest, TrainError> {
    let path = folder.join("state.json");
    let text = fs::read(&path).map_err(TrainError::read(&path))?;
    let text = byte_order_mark::skip(&text);
    let manifest: Manifest = serde_json::from_slice(text).map_err(|e| TrainError::file(&path, e))?;
    for (file, digest) in &manifest.digests {
        let path = folder.join(file);
        if digest_of(&path)? != *digest {
            return Err(TrainError::file(&path, "it is not what was written (SHA-256)"));
        }
    }
    Ok(manifest)
}

/// The digests of all files below `folder`, by their path in it.
fn digests(folder: &Path) -> Result<BTreeMap<PathBuf, String>, TrainError> {
    let mut digests = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(TrainError::read(folder))? {
        let path = entry.map_err(TrainError::read(folder))?.path();
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        if path.is_dir() {
            for (file, digest) in self::digests(&path)? {
                digests.insert(name.join(file), digest);
            }
        } else {
            digests.insert(name, digest_of(&path)?);
        }
    }
    Ok(digests)
}

fn digest_of(path: &Path) -> Result<String, TrainError> {
    let file = File::open(path).map_err(TrainError::read(path))?;
    // An empty file cannot be mapped.
    if file.metadata().map_err(TrainError::read(path))?.len() == 0 {
        return Ok(sha256(&[]));
    }
    // SAFETY: the map is only read; the files of a checkpoint are never written again.
    let map = unsafe { Mmap::map(&file) }.map_err(TrainError::read(path))?;
    Ok(sha256(&map))
}

/// The SHA-256 of `bytes`, as the hexadecimal text that checksum tools print.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The digits of `bytes`.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
