//! Files and folders that appear under their names complete or not at all.
//!
//! Each is written under a temporary name beside its own, synchronised to the disk, and renamed. A process that is
//! killed leaves at most the temporary one behind, which the next attempt replaces.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// A file or folder that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct WriteError {
    /// The path of the file or folder.
    pub path: PathBuf,
    /// The error of the operating system.
    pub source: io::Error,
}

impl WriteError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self { path: path.to_owned(), source }
    }
}

/// Creates or replaces the file at `path` with the one that `write` creates at the temporary path it receives.
///
/// # Errors
/// The error of `write`, or of synchronising or renaming. The temporary file is removed, and an existing file at `path`
/// stays as it is.
pub fn replace_file<E: From<WriteError>>(path: &Path, write: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let temporary = sibling(path, ".tmp");
    let written = write(&temporary).and_then(|()| Ok(give_name(&temporary, path).map_err(WriteError::at(path))?));
    if written.is_err() {
        // The first error is reported; the next attempt overwrites a temporary file that cannot be removed.
        drop(fs::remove_file(&temporary));
    }
    written
}

fn give_name(temporary: &Path, path: &Path) -> io::Result<()> {
    File::open(temporary)?.sync_all()?;
    fs::rename(temporary, path)
}

/// A folder under a temporary name. It is removed if it is dropped before [`finish`](Self::finish).
#[derive(Debug)]
pub struct PendingFolder {
    target: PathBuf,
    path: PathBuf,
}

impl PendingFolder {
    /// Creates the temporary folder for `target`, with all parents, and removes one that a killed process has left.
    ///
    /// # Errors
    /// The folder cannot be created, or the old one cannot be removed.
    pub fn create(target: &Path) -> Result<Self, WriteError> {
        let path = Self::temporary(target);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(WriteError::at(&path))?;
        }
        fs::create_dir_all(&path).map_err(WriteError::at(&path))?;
        Ok(Self { target: target.to_owned(), path })
    }

    /// Returns the path at which [`create`](Self::create) makes the temporary folder for `target`, for other processes that
    /// write into it.
    pub fn temporary(target: &Path) -> PathBuf {
        sibling(target, ".tmp")
    }

    /// Returns the path of the temporary folder, to write into.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path that the folder will have.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the folder its name and returns its path. A folder that had the name before is replaced.
    ///
    /// # Errors
    /// A file cannot be synchronised, or a folder cannot be renamed or removed.
    pub fn finish(self) -> Result<PathBuf, WriteError> {
        self.swap().map_err(WriteError::at(&self.target))?;
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
        // After `finish` there is nothing to remove. A folder that cannot be removed is removed by the next `create`.
        drop(fs::remove_dir_all(&self.path));
    }
}

/// Synchronises all files of `folder` to the disk. Without this, a power cut could leave a renamed folder with empty
/// files.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let write =
            |text: &'static str| move |temporary: &Path| fs::write(temporary, text).map_err(WriteError::at(temporary));
        replace_file(&path, write("one")).unwrap();
        replace_file(&path, |temporary| {
            write("two")(temporary)?;
            Err(WriteError { path: temporary.to_owned(), source: io::ErrorKind::StorageFull.into() })
        })
        .unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        replace_file(&path, write("three")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_appears_when_it_is_finished() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("a/b");
        for text in ["one", "two"] {
            let pending = PendingFolder::create(&target).unwrap();
            fs::write(pending.path().join("file"), text).unwrap();
            assert_eq!(pending.finish().unwrap(), target);
            assert_eq!(fs::read_to_string(target.join("file")).unwrap(), text);
        }
        drop(PendingFolder::create(&target).unwrap());
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "two");
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
    }
}
