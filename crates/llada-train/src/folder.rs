//! Folders that appear whole or not at all.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::TrainError;

/// A temporary sibling of a folder to be. It is removed if it is dropped before [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct PendingFolder {
    target: PathBuf,
    path: PathBuf,
}

impl PendingFolder {
    /// Starts the folder that will be `target`. What a killed process left of an earlier start is removed.
    pub(crate) fn create(target: &Path) -> Result<Self, TrainError> {
        let path = sibling(target, ".tmp");
        if path.exists() {
            fs::remove_dir_all(&path).map_err(TrainError::write(&path))?;
        }
        fs::create_dir_all(&path).map_err(TrainError::write(&path))?;
        Ok(Self { target: target.to_owned(), path })
    }

    /// The temporary folder, to write into.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that it will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the folder its name, in place of the one that had it before.
    pub(crate) fn finish(self) -> Result<PathBuf, TrainError> {
        self.swap().map_err(TrainError::write(&self.target))?;
        Ok(self.target.clone())
    }

    fn swap(&self) -> io::Result<()> {
        sync(&self.path)?;
        let old = sibling(&self.target, ".old");
        if self.target.exists() {
            fs::rename(&self.target, &old)?;
        }
        fs::rename(&self.path, &self.target)?;
        if old.exists() { fs::remove_dir_all(&old) } else { Ok(()) }
    }
}

impl Drop for PendingFolder {
    fn drop(&mut self) {
        // Best effort: the next start at this name removes it too.
        drop(fs::remove_dir_all(&self.path));
    }
}

/// Has the system write all files of `folder` to the disk: after a power cut, no name may be there without its bytes.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync(&path)? } else { File::open(&path)?.sync_all()? }
    }
    Ok(())
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
