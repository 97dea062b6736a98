//! The search for a checkpoint to go on from. The processes of a run divide the reading of its files among them, and agree
//! on what they have found.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Manifest, STATE, digest::digest_of, folder};
use crate::{
    TrainError, byte_order_mark,
    collective::{Collective, SingleProcess, succeeded},
};

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

/// Looks for the newest whole checkpoint in `checkpoints`.
///
/// # Errors
/// The folder cannot be listed.
pub fn newest(checkpoints: &Path) -> Result<Found, TrainError> {
    newest_of_all(checkpoints, &steps(checkpoints)?, &mut SingleProcess)
}

/// Looks for the newest whole checkpoint in `checkpoints`, which are of `steps`, newest first, in all processes. Each has
/// the same result.
pub(crate) fn newest_of_all(
    checkpoints: &Path,
    steps: &[u64],
    collective: &mut dyn Collective,
) -> Result<Found, TrainError> {
    let mut found = Found { whole: None, skipped: Vec::new() };
    for step in steps {
        let folder = folder(checkpoints, *step);
        match verify(&folder, collective)? {
            Ok(manifest) => {
                found.whole = Some((folder, manifest));
                break;
            }
            Err(error) => found.skipped.push(Skipped { folder, error }),
        }
    }
    Ok(found)
}

/// The steps that `checkpoints` has checkpoints of, newest first.
pub(crate) fn steps(checkpoints: &Path) -> Result<Vec<u64>, TrainError> {
    if !checkpoints.exists() {
        return Ok(Vec::new());
    }
    let mut steps = Vec::new();
    for entry in fs::read_dir(checkpoints).map_err(TrainError::read(checkpoints))? {
        let path = entry.map_err(TrainError::read(checkpoints))?.path();
        steps.extend(step_of(&path).filter(|step| path == folder(checkpoints, *step)));
    }
    steps.sort_unstable_by(|a, b| b.cmp(a));
    Ok(steps)
}

/// The step that a folder is the checkpoint of, by its name.
fn step_of(folder: &Path) -> Option<u64> {
    folder.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok()
}

/// The manifest of a checkpoint, if its files are those that were written. The outer error is that the processes have lost
/// each other.
pub(super) fn verify(
    folder: &Path,
    collective: &mut dyn Collective,
) -> Result<Result<Manifest, TrainError>, TrainError> {
    let (rank, world_size) = (collective.rank(), collective.world_size());
    let own = read(folder).and_then(|manifest| verify_share(folder, &manifest, rank, world_size).map(|()| manifest));
    succeeded(collective, own)
}

fn read(folder: &Path) -> Result<Manifest, TrainError> {
    let path = folder.join(STATE);
    let text = fs::read(&path).map_err(TrainError::read(&path))?;
    let text = byte_order_mark::skip(&text);
    serde_json::from_slice(text).map_err(|e| TrainError::file(&path, e))
}

/// Compares this process's share of the files with what was written.
fn verify_share(folder: &Path, manifest: &Manifest, rank: usize, world_size: usize) -> Result<(), TrainError> {
    // The large ones first, so that all have some of them.
    let mut files: Vec<_> = manifest.digests.iter().collect();
    files.sort_by_key(|(file, _)| file.extension().is_none_or(|extension| extension != "safetensors"));
    for (file, digest) in files.into_iter().skip(rank).step_by(world_size) {
        let path = folder.join(file);
        if digest_of(&path)? != *digest {
            return Err(TrainError::file(&path, "it is not what was written (SHA-256)"));
        }
    }
    Ok(())
}
