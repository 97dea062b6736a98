//! Checkpoints: everything that the next step depends on, written so that each is whole or absent.
//!
//! `step-00000500/` is a Hugging Face folder with f32 weights, and beside them the optimizer's memory, the moving
//! average of the weights, and `state.json`: the step (which, with the seed, is the state of all randomness and the
//! place in the data), and the SHA-256 of every file. A folder is written under another name and renamed when all of it
//! is on the disk.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use llada_model::{Dtype, Parameters, Tokenizer, TrainableLlada};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use crate::{TrainError, config::RunConfig, digest::sha256, folder::Pending, mark, optimizer::Optimizer};

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Steps that were made.
    pub step: u64,
    /// Tokens that were seen.
    pub tokens: u64,
    /// The dataset, by the digest of its `dataset.json`.
    pub data: String,
    /// The settings of the run.
    pub config: RunConfig,
    /// SHA-256 of the other files, by their path in the folder.
    digests: BTreeMap<PathBuf, String>,
}

/// A checkpoint that could not be used.
#[derive(Debug)]
pub struct Skipped {
    /// Its folder.
    pub folder: PathBuf,
    /// Why.
    pub error: TrainError,
}

/// What a folder of checkpoints holds.
#[derive(Debug)]
pub struct Found {
    /// The newest whole checkpoint.
    pub whole: Option<(PathBuf, State)>,
    /// The damaged ones that are newer.
    pub skipped: Vec<Skipped>,
}

/// What a checkpoint holds beside [`State`].
pub(crate) struct Parts<'a> {
    pub(crate) model: &'a mut TrainableLlada,
    pub(crate) optimizer: &'a mut Optimizer,
    pub(crate) ema: Option<&'a mut Parameters>,
}

impl State {
    pub(crate) fn new(step: u64, tokens: u64, data: &str, config: &RunConfig) -> Self {
        Self { step, tokens, data: data.to_owned(), config: config.clone(), digests: BTreeMap::new() }
    }
}

impl Parts<'_> {
    /// The optimizer's memory and the moving average, by the name of their folder.
    fn memory(&mut self) -> impl Iterator<Item = (&'static str, &mut Parameters)> {
        let optimizer = [("exp_avg", &mut self.optimizer.exp_avg), ("exp_avg_sq", &mut self.optimizer.exp_avg_sq)];
        optimizer.into_iter().chain(self.ema.as_deref_mut().map(|ema| ("ema", ema)))
    }

    /// Writes a checkpoint into `checkpoints` and removes the oldest beyond `keep`.
    pub(crate) fn save(
        &mut self,
        checkpoints: &Path,
        tokenizer: Option<&Path>,
        mut state: State,
        keep: usize,
    ) -> Result<PathBuf, TrainError> {
        let pending = Pending::create(&checkpoints.join(format!("step-{:08}", state.step)))?;
        let folder = pending.path();
        self.model.save(folder, Dtype::F32)?;
        copy_tokenizer(tokenizer, folder)?;
        for (name, parameters) in self.memory() {
            let part = folder.join(name);
            fs::create_dir(&part).map_err(TrainError::write(&part))?;
            parameters.write(&part, Dtype::F32)?;
        }
        state.digests = digests(folder)?;
        let path = folder.join("state.json");
        let text = serde_json::to_string_pretty(&state).map_err(|e| TrainError::file(&path, e))?;
        fs::write(&path, text + "\n").map_err(TrainError::write(&path))?;
        let folder = pending.finish()?;
        for old in list(checkpoints)?.into_iter().skip(keep) {
            fs::remove_dir_all(&old).map_err(TrainError::write(&old))?;
        }
        Ok(folder)
    }

    /// Takes over the checkpoint in `folder`, which [`newest`] has found whole.
    pub(crate) fn restore(&mut self, folder: &Path) -> Result<(), TrainError> {
        self.model.weights_mut().read(folder)?;
        self.memory().try_for_each(|(name, parameters)| Ok(parameters.read(&folder.join(name))?))
    }
}

/// Looks for the newest whole checkpoint in `checkpoints`.
///
/// # Errors
/// The folder cannot be listed.
pub fn newest(checkpoints: &Path) -> Result<Found, TrainError> {
    let mut found = Found { whole: None, skipped: Vec::new() };
    for folder in list(checkpoints)? {
        match verify(&folder) {
            Ok(state) => {
                found.whole = Some((folder, state));
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
    for (from, to) in Tokenizer::FILES.map(|file| (from.join(file), to.join(file))) {
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
        let step = path.file_name().and_then(|name| name.to_str()?.strip_prefix("step-")?.parse::<u64>().ok());
        folders.extend(step.map(|step| (step, path)));
    }
    folders.sort_unstable_by(|a, b| b.cmp(a));
    Ok(folders.into_iter().map(|(_, path)| path).collect())
}

/// The state of a checkpoint whose files are those that were written.
fn verify(folder: &Path) -> Result<State, TrainError> {
    let path = folder.join("state.json");
    let text = fs::read(&path).map_err(TrainError::read(&path))?;
    let state: State = serde_json::from_slice(mark::skip(&text)).map_err(|e| TrainError::file(&path, e))?;
    for (file, digest) in &state.digests {
        if digest_of(&folder.join(file))? != *digest {
            let message = "it is not what was written (SHA-256)\nhint: the previous checkpoint is used instead";
            return Err(TrainError::file(&folder.join(file), message));
        }
    }
    Ok(state)
}

/// The digests of all files below `folder`, by their path in it.
fn digests(folder: &Path) -> Result<BTreeMap<PathBuf, String>, TrainError> {
    let mut digests = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(TrainError::read(folder))? {
        let path = entry.map_err(TrainError::read(folder))?.path();
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        if path.is_dir() {
            digests.extend(self::digests(&path)?.into_iter().map(|(file, digest)| (name.join(file), digest)));
        } else {
            digests.insert(name, digest_of(&path)?);
        }
    }
    Ok(digests)
}

fn digest_of(path: &Path) -> Result<String, TrainError> {
    let file = File::open(path).map_err(TrainError::read(path))?;
    if file.metadata().map_err(TrainError::read(path))?.len() == 0 {
        return Ok(sha256(&[]));
    }
    // SAFETY: the map is only read; the files of a checkpoint are never written again.
    let map = unsafe { Mmap::map(&file) }.map_err(TrainError::read(path))?;
    Ok(sha256(&map))
}
