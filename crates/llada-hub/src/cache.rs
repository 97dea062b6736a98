//! The layout of the cache. Only paths are made here, and references read; who downloads writes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Environment, ModelId};

/// The folder that all repositories are kept in.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// The folder of one model or dataset in the cache.
#[derive(Clone, Debug)]
pub struct Repository {
    folder: PathBuf,
    /// Beside the repositories, where Python's locks are.
    locks: PathBuf,
}

impl Cache {
    /// The user's cache, where the variables of this process say that it is.
    #[must_use]
    pub fn locate() -> Self {
        Self::at(Environment::of_process().cache)
    }

    /// A cache in this folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the cache has, or will have, of a model.
    #[must_use]
    pub fn repository(&self, model: &ModelId) -> Repository {
        self.at_name(&model.folder())
    }

    /// What the cache has of a dataset, which is named as a model is.
    #[must_use]
    pub fn dataset(&self, dataset: &ModelId) -> Repository {
        self.at_name(&dataset.dataset_folder())
    }

    fn at_name(&self, name: &str) -> Repository {
        Repository { folder: self.root.join(name), locks: self.root.join(".locks").join(name) }
    }
}

impl Repository {
    /// `models--owner--name` or `datasets--owner--name`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with this digest.
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        self.folder.join("blobs").join(digest)
    }

    /// What is locked by whoever downloads the file with this digest.
    #[must_use]
    pub fn lock(&self, digest: &str) -> PathBuf {
        self.locks.join(format!("{digest}.lock"))
    }

    /// The files of a commit.
    #[must_use]
    pub fn files(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The file that holds the commit of a branch or tag.
    #[must_use]
    pub fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    /// The commit of a branch or tag when it was last fetched, or the commit itself.
    #[must_use]
    pub fn commit(&self, revision: &str) -> Option<String> {
        let commit = match fs::read_to_string(self.reference(revision)) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => revision.to_owned(),
        };
        is_digest(&commit, 40).then_some(commit)
    }

    /// The files of a branch, tag or commit, if any of them are there.
    #[must_use]
    pub fn snapshot(&self, revision: &str) -> Option<PathBuf> {
        let files = self.files(&self.commit(revision)?);
        files.is_dir().then_some(files)
    }
}

/// Whether this is a digest of so many hexadecimal digits: a name that can lead nowhere else.
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
