//! A checkpoint in slices as the one that a lone process would have written.

use std::{collections::BTreeSet, fs, path::Path};

use llada_model::{atomic::PendingFolder, is_slice, merge_slices};

use super::{copy, digest::digests, find::verify};
use crate::{TrainError, collective::SingleProcess};

/// Writes the new folder `out`, which has whole tensors in place of the slices of `checkpoint`, and everything else as it is
/// there. Runs go on from either, and have the same bits. `progress` is called with the number of files that have been
/// written and the number of all files.
///
/// # Errors
/// `out` is there already; `checkpoint` is damaged, or nothing in it is divided; a file cannot be written.
pub fn merge<E: From<TrainError>>(
    checkpoint: &Path,
    out: &Path,
    mut progress: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    if out.exists() {
        return Err(TrainError::Exists { path: out.to_owned() }.into());
    }
    let mut manifest = verify(checkpoint, &mut SingleProcess)??;
    let (slices, whole): (Vec<_>, Vec<_>) = manifest.digests.keys().partition(|file| has_slices(file));
    let divided: BTreeSet<&Path> = slices.iter().filter_map(|file| file.parent()).collect();
    if divided.is_empty() {
        return Err(TrainError::NotDivided { folder: checkpoint.to_owned() }.into());
    }
    let pending = PendingFolder::create(out).map_err(TrainError::from)?;
    let files = whole.len() + divided.len();
    for (i, file) in whole.iter().enumerate() {
        progress(i, files)?;
        copy(&checkpoint.join(file), &pending.path().join(file))?;
    }
    for (i, folder) in divided.iter().enumerate() {
        progress(whole.len() + i, files)?;
        let to = pending.path().join(folder);
        fs::create_dir_all(&to).map_err(TrainError::write(&to))?;
        merge_slices(&checkpoint.join(folder), &to.join("model.safetensors")).map_err(TrainError::from)?;
    }
    manifest.digests = digests(pending.path(), |_| true)?;
    manifest.write(pending.path())?;
    pending.finish().map_err(TrainError::from)?;
    progress(files, files)
}

fn has_slices(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(is_slice)
}
