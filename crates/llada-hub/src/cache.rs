//! The layout of the cache. This module builds paths and reads references; it never writes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Environment, ModelId};

/// The folder of all cached repositories.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// The folder of a model or dataset in the cache.
#[derive(Clone, Debug)]
pub struct Repository {
    folder: PathBuf,
    /// The folder of lock files, which Python's client keeps beside the repositories.
    locks: PathBuf,
}

impl Cache {
    /// Returns the user's cache, as the environment variables of this process determine it.
    #[must_use]
    pub fn locate() -> Self {
        Self::at(Environment::of_process().cache)
    }

    /// Creates a cache in this folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the folder of the cache.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the repository of a model, which may not exist yet.
    #[must_use]
    pub fn repository(&self, model: &ModelId) -> Repository {
        self.at_name(&model.folder())
    }

    /// Returns the repository of a dataset, which may not exist.
    #[must_use]
    pub fn dataset(&self, dataset: &ModelId) -> Repository {
        self.at_name(&dataset.dataset_folder())
    }

    fn at_name(&self, name: &str) -> Repository {
        Repository { folder: self.root.join(name), locks: self.root.join(".locks").join(name) }
    }
}

impl Repository {
    /// Returns the folder of the repository, `models--owner--name` or `datasets--owner--name`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of the file with this digest.
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.folder.join("blobs").join(digest)
    }

    /// Returns the path of the lock that is held while the file with this digest is downloaded.
    #[must_use]
    pub fn lock(&self, digest: &str) -> PathBuf {
        self.locks.join(format!("{digest}.lock"))
    }

    /// Returns the folder of the files of a commit.
    #[must_use]
    pub fn files(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Returns the path of the file that names the commit of a branch or tag.
    #[must_use]
    pub fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    /// Returns the commit of a branch or tag when it was last fetched. If `revision` is a commit, returns it.
    #[must_use]
    pub fn commit(&self, revision: &str) -> Option<String> {
        let commit = match fs::read_to_string(self.reference(revision)) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => revision.to_owned(),
        };
        is_digest(&commit, 40).then_some(commit)
    }

    /// Returns the folder of the files of a branch, tag or commit, if it exists.
    #[must_use]
    pub fn snapshot(&self, revision: &str) -> Option<PathBuf> {
        let files = self.files(&self.commit(revision)?);
        files.is_dir().then_some(files)
    }
}

/// Returns true if `name` consists of this number of hexadecimal digits. Such a name cannot lead out of a folder.
pub(crate) fn is_digest(name: &str, digits: usize) -> bool {
    name.len() == digits && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_reference_leads_to_its_snapshot() {
        let scratch = tempfile::tempdir().unwrap();
        let repository = Cache::at(scratch.path()).repository(&"a/b".parse().unwrap());
        assert_eq!((repository.snapshot("main"), repository.snapshot(COMMIT)), (None, None));
        fs::create_dir_all(repository.files(COMMIT)).unwrap();
        fs::create_dir_all(repository.reference("refs/pr/1").parent().unwrap()).unwrap();
        for revision in ["main", "refs/pr/1"] {
            fs::write(repository.reference(revision), COMMIT).unwrap();
            assert_eq!(repository.snapshot(revision), Some(repository.files(COMMIT)));
        }
        assert_eq!(repository.snapshot(COMMIT), Some(repository.files(COMMIT)));
    }

    #[test]
    fn a_damaged_reference_leads_nowhere() {
        let scratch = tempfile::tempdir().unwrap();
        let repository = Cache::at(scratch.path()).repository(&"a/b".parse().unwrap());
        fs::create_dir_all(repository.files("..")).unwrap();
        fs::create_dir_all(repository.reference("")).unwrap();
        for text in ["", "..", &COMMIT[1..]] {
            fs::write(repository.reference("main"), text).unwrap();
            assert_eq!(repository.snapshot("main"), None, "{text}");
        }
    }
}
