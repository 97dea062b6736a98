//! Python and pip, which install libtorch: it is published in PyTorch's wheels.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::failure::Failure;
use crate::process;

/// The oldest Python that PyTorch's wheels support.
pub(crate) const OLDEST: (u32, u32) = (3, 10);

pub(crate) const INSTALL_PYTHON: &str =
    "sudo apt-get install python3 python3-pip   (or your system's Python 3.10 or newer, with pip)";
pub(crate) const INSTALL_PIP: &str = "sudo apt-get install python3-pip   (or: python3 -m ensurepip --user)";

/// Returns the version of `python3`, such as `(3, 11)`, if it is installed.
pub(crate) fn version() -> Option<(u32, u32)> {
    let script = "import sys; print('%d.%d' % sys.version_info[:2])";
    let printed = process::answer(Command::new("python3").args(["-c", script]))?;
    let (major, minor) = printed.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Returns the version of pip, if `python3` has it.
pub(crate) fn pip_version() -> Option<String> {
    let printed = process::answer(Command::new("python3").args(["-m", "pip", "--version"]))?;
    printed.split_whitespace().nth(1).map(str::to_owned)
}

/// Checks that Python and pip are installed.
///
/// # Errors
/// If one of them is missing or too old.
pub(crate) fn require_pip() -> Result<()> {
    let (major, minor) = version().ok_or_else(|| {
        Failure::environment(
            "`python3` is not installed, or not on PATH, and libtorch is downloaded with its pip",
            INSTALL_PYTHON,
        )
    })?;
    if (major, minor) < OLDEST {
        return Err(Failure::environment(
            format!("`python3` is {major}.{minor}, and PyTorch's wheels need 3.10 or newer"),
            "put a newer python3 first on PATH, then: cargo xtask setup",
        )
        .into());
    }
    if pip_version().is_none() {
        return Err(Failure::environment("`python3` has no pip", INSTALL_PIP).into());
    }
    Ok(())
}

/// Returns the folder of the installed `torch` package. The package is located and not imported: an import takes seconds,
/// and the libraries may be usable even if it fails.
pub(crate) fn torch_package() -> Option<PathBuf> {
    let script = "import importlib.util as u; spec = u.find_spec('torch'); print(spec.origin if spec else '')";
    let init = process::answer(Command::new("python3").args(["-c", script]))?;
    PathBuf::from(init).parent().map(PathBuf::from).filter(|folder| folder.is_absolute())
}
