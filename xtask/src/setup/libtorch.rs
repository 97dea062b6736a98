//! The inspection of a folder that may be a libtorch: its version, its build, and its libraries.

use std::env::consts::DLL_SUFFIX;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// The release that tch is bound to. Others do not work, because the C++ interface changes with every release.
pub(crate) const VERSION: &str = "2.13.0";

/// The header that every user of the C++ interface includes.
const HEADER: &str = "include/torch/csrc/api/include/torch/torch.h";

/// A usable libtorch.
#[derive(Debug)]
pub(crate) struct Libtorch {
    /// The canonical path. A link to it must be absolute and must not lead to another link.
    pub(crate) folder: PathBuf,
    /// The version that the folder states, including the build: `2.13.0+cpu`.
    pub(crate) version: String,
    pub(crate) cuda: bool,
}

/// The reason why a folder is not a usable libtorch. Its text follows the name of the folder.
#[derive(Debug, PartialEq)]
pub(crate) enum Unfit {
    Absent,
    Unversioned,
    Version(String),
    Missing(String),
    Unresolved(String),
    CpuOnly,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("does not exist"),
            Self::Unversioned => f.write_str("does not say its version: it has neither build-version nor version.py"),
            Self::Version(found) => write!(f, "holds libtorch {found}, and tch needs {VERSION}"),
            Self::Missing(file) => write!(f, "has no {file}"),
            Self::Unresolved(library) => {
                write!(f, "needs {library}, which the loader does not find")
            }
            Self::CpuOnly => write!(f, "is a CPU build: it has no {}", library("torch_cuda")),
        }
    }
}

impl Libtorch {
    /// Checks a folder. The version is checked first, because a wrong version explains all other problems.
    pub(crate) fn inspect(folder: &Path) -> Result<Self, Unfit> {
        if !folder.is_dir() {
            return Err(Unfit::Absent);
        }
        let version = stated_version(folder).ok_or(Unfit::Unversioned)?;
        if version.split('+').next() != Some(VERSION) {
            return Err(Unfit::Version(version));
        }
        for needed in [HEADER.to_owned()].into_iter().chain(["torch", "torch_cpu", "c10"].map(library)) {
            // `metadata` follows links, so a dangling link counts as a missing library.
            if !fs::metadata(folder.join(&needed)).is_ok_and(|file| file.len() > 0) {
                return Err(Unfit::Missing(needed));
            }
        }
        if let Some(library) = unresolved(&folder.join(library("torch"))) {
            return Err(Unfit::Unresolved(library));
        }
        Ok(Self {
            folder: fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()),
            version,
            cuda: folder.join(library("torch_cuda")).exists() && !is_cpu_entry(folder),
        })
    }

    /// Checks a folder, including the CUDA libraries if `cuda` is true. A CUDA build also works on the CPU.
    pub(crate) fn fit(folder: &Path, cuda: bool) -> Result<Self, Unfit> {
        let libtorch = Self::inspect(folder)?;
        if cuda && !libtorch.cuda {
            return Err(Unfit::CpuOnly);
        }
        Ok(libtorch)
    }
}

impl fmt::Display for Libtorch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "libtorch {}", self.version)
    }
}

fn library(name: &str) -> String {
    format!("lib/lib{name}{DLL_SUFFIX}")
}

/// Returns true if `libtorch.so` is a link to the CPU library, as `recipe` creates it.
fn is_cpu_entry(folder: &Path) -> bool {
    let resolved = |name| fs::canonicalize(folder.join(library(name))).ok();
    resolved("torch") == resolved("torch_cpu")
}

/// Returns the version of a folder: an unpacked archive has it in `build-version`, the Python package in `version.py`.
pub(super) fn stated_version(folder: &Path) -> Option<String> {
    if let Ok(version) = fs::read_to_string(folder.join("build-version")) {
        return Some(version.trim().to_owned());
    }
    let module = fs::read_to_string(folder.join("version.py")).ok()?;
    let assigned = module.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(assigned.trim().trim_matches(['\'', '"']).to_owned())
}

/// Returns the first library that the loader would not find. Without `ldd` nothing is checked, and the build would fail.
fn unresolved(library: &Path) -> Option<String> {
    process::answer(Command::new("ldd").arg(library))?
        .lines()
        .filter(|line| line.ends_with("=> not found"))
        .filter_map(|line| line.split_whitespace().next())
        // This library belongs to the CUDA driver. A CUDA build is usable on a machine without one.
        .find(|name| !name.starts_with("libcuda.so"))
        .map(str::to_owned)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Creates a folder that passes for a libtorch of some version: its files have the right names but no code.
    pub(in crate::setup) fn fake(folder: &Path, version: &str) {
        for file in [HEADER.to_owned()].into_iter().chain(["torch", "torch_cpu", "c10"].map(library)) {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "not really").unwrap();
        }
        fs::write(folder.join("build-version"), format!("{version}\n")).unwrap();
    }

    #[test]
    fn accepts_the_release_that_tch_is_bound_to_in_any_build() {
        for version in ["2.13.0", "2.13.0+cpu", "2.13.0+cu130"] {
            let folder = tempfile::tempdir().unwrap();
            fake(folder.path(), version);
            assert_eq!(Libtorch::inspect(folder.path()).unwrap().version, version);
        }
    }

    #[test]
    fn refuses_every_other_release() {
        for version in ["2.12.1+cpu", "2.13.1", "2.13", "12.13.0"] {
            let folder = tempfile::tempdir().unwrap();
            fake(folder.path(), version);
            let unfit = Libtorch::inspect(folder.path()).unwrap_err();
            assert_eq!(unfit, Unfit::Version(version.to_owned()));
        }
    }

    #[test]
    fn names_each_file_that_is_missing_or_empty() {
        for file in [HEADER.to_owned(), library("torch"), library("torch_cpu"), library("c10")] {
            let folder = tempfile::tempdir().unwrap();
            fake(folder.path(), VERSION);
            fs::write(folder.path().join(&file), "").unwrap();
            assert_eq!(Libtorch::inspect(folder.path()).unwrap_err(), Unfit::Missing(file.clone()));
            fs::remove_file(folder.path().join(&file)).unwrap();
            assert_eq!(Libtorch::inspect(folder.path()).unwrap_err(), Unfit::Missing(file));
        }
    }

    #[test]
    fn reads_the_version_of_a_python_package() {
        let folder = tempfile::tempdir().unwrap();
        let module = "from typing import Optional\n\n__version__ = '2.13.0+cu130'\ncuda = '13.0'\n";
        fs::write(folder.path().join("version.py"), module).unwrap();
        assert_eq!(stated_version(folder.path()).as_deref(), Some("2.13.0+cu130"));
    }

    #[test]
    fn a_cpu_build_does_not_pass_for_cuda() {
        let folder = tempfile::tempdir().unwrap();
        fake(folder.path(), VERSION);
        assert_eq!(Libtorch::fit(folder.path(), true).unwrap_err(), Unfit::CpuOnly);
        fs::write(folder.path().join(library("torch_cuda")), "not really").unwrap();
        assert!(Libtorch::fit(folder.path(), true).unwrap().cuda);
    }
}
