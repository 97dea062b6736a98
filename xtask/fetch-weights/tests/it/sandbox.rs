//! A home of its own for each test, with a hub, and the command in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::hub::{COMMIT, Hub, Stored};

pub(crate) struct Sandbox {
    root: TempDir,
    pub(crate) hub: Hub,
}

/// What a run left: its exit code and all that it printed.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), hub: Hub::start() }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// The model's folder in the cache.
    pub(crate) fn repository(&self) -> PathBuf {
        self.path("hf/hub/models--GSAI-ML--LLaDA-8B-Instruct")
    }

    pub(crate) fn snapshot(&self) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT)
    }

    pub(crate) fn blob(&self, file: &Stored) -> PathBuf {
        self.repository().join("blobs").join(file.digest())
    }

    /// The file of the model with this path.
    pub(crate) fn file(&self, path: &str) -> &Stored {
        self.hub.files().iter().find(|file| file.path == path).unwrap()
    }

    /// The command with `args`, to be changed or run.
    pub(crate) fn fetch(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fetch-weights"));
        command
            .args(args)
            .current_dir(self.root.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("HOME", self.path("home"))
            .env("HF_HOME", self.path("hf"))
            .env("HF_ENDPOINT", &self.hub.url);
        command
    }

    /// Fetches the model; an error is one of the test.
    pub(crate) fn fetched(&self, args: &[&str]) -> Outcome {
        let outcome = outcome(&mut self.fetch(&[&["llada-8b-instruct"], args].concat()));
        assert_eq!(outcome.code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
        outcome
    }

    /// Puts a script on PATH, before the system's programs.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::create_dir_all(self.path("bin")).unwrap();
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Every file of the model is in `folder`, and nothing else.
    pub(crate) fn assert_whole(&self, folder: &Path) {
        let mut expected: Vec<_> = self.hub.files().iter().map(|file| file.path.clone()).collect();
        expected.sort();
        assert_eq!(names(folder), expected);
        for file in self.hub.files() {
            assert!(fs::read(folder.join(&file.path)).unwrap() == file.bytes, "{}", file.path);
        }
    }

    /// The cache holds the model, in the layout that Python reads, and nothing unfinished.
    pub(crate) fn assert_cached(&self) {
        self.assert_whole(&self.snapshot());
        let mut digests: Vec<_> = self.hub.files().iter().map(Stored::digest).collect();
        digests.sort();
        digests.dedup();
        assert_eq!(names(&self.repository().join("blobs")), digests);
        assert_eq!(fs::read_to_string(self.repository().join("refs/main")).unwrap(), COMMIT);
        for file in self.hub.files() {
            let up = "../".repeat(2 + file.path.matches('/').count());
            let link = fs::read_link(self.snapshot().join(&file.path)).unwrap();
            assert_eq!(link, Path::new(&format!("{up}blobs/{}", file.digest())));
        }
    }

    /// Whatever has its final name is whole.
    pub(crate) fn assert_nothing_half_written(&self) {
        for name in names(&self.repository().join("blobs")) {
            let file = self.hub.files().iter().find(|file| name.starts_with(&file.digest())).unwrap();
            let bytes = fs::read(self.repository().join("blobs").join(&name)).unwrap();
            if name.ends_with(".incomplete") {
                assert!(file.bytes.starts_with(&bytes), "{name}");
            } else {
                assert!(file.bytes == bytes, "{name}");
            }
        }
        for file in self.hub.files() {
            let path = self.snapshot().join(&file.path);
            assert!(!path.is_symlink() || fs::read(&path).unwrap() == file.bytes, "{}", file.path);
        }
    }
}

pub(crate) fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Fails with this code, saying this, and a hint that says that on the last line.
pub(crate) fn assert_fails(outcome: &Outcome, code: i32, message: &str, hint: &str) {
    assert_eq!(outcome.code, Some(code), "{}{}", outcome.stdout, outcome.stderr);
    assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
    let last = outcome.stderr.lines().last().unwrap();
    assert!(last.starts_with("hint: ") && last.contains(hint), "{last}");
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}

/// The paths of the files and links below a folder, sorted; none where there is no folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(open) = folders.pop() {
        for entry in fs::read_dir(open).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                names.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names.sort();
    names
}
