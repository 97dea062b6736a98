//! A folder that may be a libtorch: which version, which build, and whether it can be used at all.

use std::env::consts::DLL_SUFFIX;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// The release that tch is bound to. Its C++ interface changes with every one, so no other will do.
pub(crate) const VERSION: &str = "2.13.0";

/// The header that every user of the C++ interface includes.
const HEADER: &str = "include/torch/csrc/api/include/torch/torch.h";

/// A libtorch that can be used.
#[derive(Debug)]
pub(crate) struct Libtorch {
    /// Where it really is: a link must not depend on where it was asked for, nor lead to another link.
    pub(crate) folder: PathBuf,
    /// The version as its folder states it, build included: `2.13.0+cpu`.
    pub(crate) version: String,
    pub(crate) cuda: bool,
}

/// Why a folder is not the libtorch that is needed. Displayed after the name of the folder.
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
    /// Checks a folder: its version first, because a wrong version explains every other finding.
    pub(crate) fn inspect(folder: &Path) -> Result<Self, Unfit> {
        if !folder.is_dir() {
            return Err(Unfit::Absent);
        }
        let version = stated_version(folder).ok_or(Unfit::Unversioned)?;
        if version.split('+').next() != Some(VERSION) {
            return Err(Unfit::Version(version));
        }
        for needed in [HEADER.to_owned()].into_iter().chain(["torch", "torch_cpu", "c10"].map(library)) {
            // Follows links: one that dangles is a library that is not there.
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

    /// The same, and with the CUDA libraries where those are wanted. A CUDA build serves the CPU too.
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

/// Whether `libtorch.so` leads to the CPU library alone, as `recipe` makes it.
fn is_cpu_entry(folder: &Path) -> bool {
    let resolved = |name| fs::canonicalize(folder.join(library(name))).ok();
    resolved("torch") == resolved("torch_cpu")
}

/// An unpacked archive states its version in `build-version`, the Python package in `version.py`.
pub(super) fn stated_version(folder: &Path) -> Option<String> {
    if let Ok(version) = fs::read_to_string(folder.join("build-version")) {
        return Some(version.trim().to_owned());
    }
    let module = fs::read_to_string(folder.join("version.py")).ok()?;
    let assigned = module.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(assigned.trim().trim_matches(['\'', '"']).to_owned())
}

/// The first library that the loader would not find. Where there is no `ldd`, building will tell.
fn unresolved(library: &Path) -> Option<String> {
    process::answer(Command::new("ldd").arg(library))?
        .lines()
        .filter(|line| line.ends_with("=> not found"))
        .filter_map(|line| line.split_whitespace().next())
        // The CUDA driver brings this one; a build for CUDA is sound on a machine without.
        .find(|name| !name.starts_with("libcuda.so"))
        .map(str::to_owned)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A folder that passes for a libtorch of some version: files of the right names, with no code in them.
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
