//! Folders that appear whole or not at all.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::TrainError;

/// A temporary sibling of a folder. Dropped before [`finish`](Self::finish), it is removed.
#[derive(Debug)]
pub(crate) struct Pending {
    target: PathBuf,
    path: PathBuf,
}

impl Pending {
    /// Starts the folder that will be `target`; what a killed process left of an earlier start is removed.
    pub(crate) fn create(target: &Path) -> Result<Self, TrainError> {
        let path = sibling(target, ".tmp");
        if path.exists() {
            fs::remove_dir_all(&path).map_err(TrainError::write(&path))?;
        }
        fs::create_dir_all(&path).map_err(TrainError::write(&path))?;
        Ok(Self { target: target.to_owned(), path })
    }

    /// Where to write meanwhile.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it will be called.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the folder its name, in place of what had it before.
    pub(crate) fn finish(self) -> Result<PathBuf, TrainError> {
        let swap = || {
            sync(&self.path)?;
            let old = sibling(&self.target, ".old");
            if self.target.exists() {
                fs::rename(&self.target, &old)?;
            }
            fs::rename(&self.path, &self.target)?;
            if old.exists() { fs::remove_dir_all(&old) } else { Ok(()) }
        };
        swap().map_err(TrainError::write(&self.target))?;
        Ok(self.target.clone())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Best effort: the next start at this name removes it too.
        drop(fs::remove_dir_all(&self.path));
    }
}

/// Has the system write all files of `folder` to the disk: a name must not survive a power cut that its bytes did not.
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
