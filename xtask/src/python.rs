//! Python and its pip: they bring libtorch, because PyTorch's wheels are where it is published.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::failure::Failure;
use crate::process;

/// The oldest Python that PyTorch's wheels are made for.
pub(crate) const OLDEST: (u32, u32) = (3, 10);

pub(crate) const INSTALL_PYTHON: &str =
    "sudo apt-get install python3 python3-pip   (or your system's Python 3.10 or newer, with pip)";
pub(crate) const INSTALL_PIP: &str = "sudo apt-get install python3-pip   (or: python3 -m ensurepip --user)";

/// The version of `python3`, as `(3, 11)`, if there is one.
pub(crate) fn version() -> Option<(u32, u32)> {
    let script = "import sys; print('%d.%d' % sys.version_info[:2])";
    let printed = process::answer(Command::new("python3").args(["-c", script]))?;
    let (major, minor) = printed.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The version of pip, if `python3` has one.
pub(crate) fn pip_version() -> Option<String> {
    let printed = process::answer(Command::new("python3").args(["-m", "pip", "--version"]))?;
    printed.split_whitespace().nth(1).map(str::to_owned)
}

/// Whether Python and pip are there to download with.
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

/// The folder of the installed `torch` package. It is located, not imported: an import takes seconds, and a package
/// whose import fails can still hold sound libraries.
pub(crate) fn torch_package() -> Option<PathBuf> {
    let script = "import importlib.util as u; spec = u.find_spec('torch'); print(spec.origin if spec else '')";
    let init = process::answer(Command::new("python3").args(["-c", script]))?;
    PathBuf::from(init).parent().map(PathBuf::from).filter(|folder| folder.is_absolute())
}
