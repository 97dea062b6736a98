//! What the checks need: programs of the system, and the clients in their pinned versions below `target/compat`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{scratch, sources};
use crate::failure::Failure;
use crate::installer::{Installer, is_installed, mark_installed};
use crate::process;
use crate::python;

const INSTALLER: Installer = Installer { command: "cargo xtask compat" };

/// The oldest Python for which the pinned packages have wheels.
const OLDEST_PYTHON: (u32, u32) = (3, 11);

/// The oldest Node that the clients support.
const OLDEST_NODE: u32 = 20;

/// Installs the clients of Python in a virtual environment.
pub(super) fn python() -> Result<()> {
    INSTALLER.need("python3", &["python3", "--version"])?;
    if python::version().is_none_or(|version| version < OLDEST_PYTHON) {
        let message = "`python3` is older than 3.11, which the clients of Python need";
        return Err(Failure::environment(message, "put a newer python3 first on PATH, then: cargo xtask compat").into());
    }
    let what = "the clients of Python: some minutes, the first time";
    INSTALLER.python(&scratch().join("venv"), &sources().join("python"), what)?;
    Ok(())
}

/// Installs peft and PyTorch in a virtual environment of their own, and returns its Python.
pub(super) fn peft() -> Result<PathBuf> {
    INSTALLER.need("python3", &["python3", "--version"])?;
    let what = "peft and PyTorch: some gigabytes, the first time";
    INSTALLER.python(&scratch().join("peft"), &sources().join("peft"), what)
}

/// Installs datatrove and Arrow in a virtual environment of their own, and returns its Python.
pub(super) fn corpora() -> Result<PathBuf> {
    INSTALLER.need("python3", &["python3", "--version"])?;
    let what = "datatrove and Arrow: some hundred megabytes, the first time";
    INSTALLER.python(&scratch().join("corpora"), &sources().join("corpora"), what)
}

/// Installs the packages of a folder of `xtask/compat`: `node` or `page`.
pub(super) fn node(folder: &str) -> Result<()> {
    INSTALLER.need("nodejs", &["node", "--version"])?;
    INSTALLER.need("npm", &["npm", "--version"])?;
    let version = process::answer(Command::new("node").arg("--version")).unwrap_or_default();
    if major(&version).is_none_or(|major| major < OLDEST_NODE) {
        let message = format!("`node` is {version}, and the clients of Node need {OLDEST_NODE} or newer");
        return Err(Failure::environment(message, "put a newer node first on PATH, then: cargo xtask compat").into());
    }
    let (from, into) = (sources().join(folder), scratch().join(folder));
    let pins = ["package.json", "package-lock.json"].map(|name| from.join(name));
    if !is_installed(&into, &pins)? {
        println!("installing the packages of {folder}");
        fs::create_dir_all(&into)?;
        for name in ["package.json", "package-lock.json"] {
            fs::copy(from.join(name), into.join(name))?;
        }
        INSTALLER.run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&into))?;
        mark_installed(&into, &pins)?;
    }
    // Node looks for packages beside the file that imports them.
    let link = from.join("node_modules");
    if link.is_symlink() {
        fs::remove_file(&link)?;
    }
    if !link.exists() {
        symlink(into.join("node_modules"), &link).with_context(|| format!("cannot make {}", link.display()))?;
    }
    Ok(())
}

/// Installs Debian's Chromium.
pub(super) fn chromium() -> Result<()> {
    INSTALLER.need("chromium", &["chromium", "--version"])
}

/// Returns the major version in what `node --version` prints, such as 20 of `v20.19.2`.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_node_is_read() {
        assert_eq!(major("v20.19.2"), Some(20));
        assert_eq!(major("20"), None);
    }
}
