//! What the checks need: programs of the system, and the clients in their pinned versions below `target/compat`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{scratch, sources};
use crate::failure::Failure;
use crate::process;
use crate::python;

/// The oldest Python for which the pinned packages have wheels.
const OLDEST_PYTHON: (u32, u32) = (3, 11);

/// The oldest Node that the clients support.
const OLDEST_NODE: u32 = 20;

/// Installs the clients of Python in a virtual environment.
pub(super) fn python() -> Result<()> {
    need("python3", &["python3", "--version"])?;
    need("python3-venv", &["python3", "-c", "import ensurepip, venv"])?;
    if python::version().is_none_or(|version| version < OLDEST_PYTHON) {
        let message = "`python3` is older than 3.11, which the clients of Python need";
        return Err(Failure::environment(message, "put a newer python3 first on PATH, then: cargo xtask compat").into());
    }
    let venv = scratch().join("venv");
    let pins = ["requirements.txt", "constraints.txt"].map(|name| sources().join("python").join(name));
    if is_installed(&venv, &pins)? {
        return Ok(());
    }
    println!("installing the clients of Python: some minutes, the first time");
    if venv.exists() {
        fs::remove_dir_all(&venv)?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run(pip.arg("--requirement").arg(&pins[0]).arg("--constraint").arg(&pins[1]))?;
    mark_installed(&venv, &pins)
}

/// Installs the packages of a folder of `xtask/compat`: `node` or `page`.
pub(super) fn node(folder: &str) -> Result<()> {
    need("nodejs", &["node", "--version"])?;
    need("npm", &["npm", "--version"])?;
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
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&into))?;
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
    need("chromium", &["chromium", "--version"])
}

/// Installs a package of Debian if a program does not run, and that is permitted.
fn need(package: &str, probe: &[&str]) -> Result<()> {
    if runs(probe) {
        return Ok(());
    }
    let is_root = process::answer(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
    if is_root && runs(&["apt-get", "--version"]) {
        run(Command::new("apt-get").arg("update"))?;
        run(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", package]))?;
    }
    if runs(probe) {
        return Ok(());
    }
    let message = format!("`{}` does not run", probe.join(" "));
    Err(Failure::environment(message, format!("sudo apt-get install {package}   then: cargo xtask compat")).into())
}

fn runs(probe: &[&str]) -> bool {
    process::answer(Command::new(probe[0]).args(&probe[1..])).is_some()
}

fn run(command: &mut Command) -> Result<()> {
    if process::show(command)? {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let message = format!("`{program}` could not install what the checks need, as shown above");
    Err(Failure::environment(message, "cargo xtask compat   (once the network is there)").into())
}

/// Returns the major version in what `node --version` prints, such as 20 of `v20.19.2`.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Returns true if what these files pin was installed in the folder.
fn is_installed(folder: &Path, pins: &[PathBuf]) -> Result<bool> {
    let pinned = pinned(pins)?;
    Ok(fs::read_to_string(folder.join("installed")).is_ok_and(|installed| installed == pinned))
}

fn mark_installed(folder: &Path, pins: &[PathBuf]) -> Result<()> {
    fs::write(folder.join("installed"), pinned(pins)?)?;
    Ok(())
}

fn pinned(pins: &[PathBuf]) -> Result<String> {
    let mut pinned = String::new();
    for file in pins {
        pinned += &fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    Ok(pinned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_pin_is_installed_again() {
        let folder = tempfile::tempdir().unwrap();
        let pins = [folder.path().join("requirements.txt")];
        fs::write(&pins[0], "llm==0.36").unwrap();
        assert!(!is_installed(folder.path(), &pins).unwrap());
        mark_installed(folder.path(), &pins).unwrap();
        assert!(is_installed(folder.path(), &pins).unwrap());
        fs::write(&pins[0], "llm==0.37").unwrap();
        assert!(!is_installed(folder.path(), &pins).unwrap());
    }

    #[test]
    fn the_major_version_of_node_is_read() {
        assert_eq!(major("v20.19.2"), Some(20));
        assert_eq!(major("20"), None);
    }
}
