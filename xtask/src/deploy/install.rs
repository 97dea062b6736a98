//! What the checks need: programs of Debian, and pytest with the schemas of Kubernetes below `target/deploy-check`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{scratch, sources};
use crate::failure::Failure;
use crate::process;

/// Installs the packages of Python in a virtual environment, and returns its Python.
pub(super) fn python() -> Result<PathBuf> {
    need("python3-venv", &["python3", "-c", "import ensurepip, venv"])?;
    let venv = scratch().join("venv");
    let python = venv.join("bin/python");
    let mut pinned = String::new();
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    for (flag, name) in [("--requirement", "requirements.txt"), ("--constraint", "constraints.txt")] {
        let file = sources().join(name);
        pinned += &fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        pip.arg(flag).arg(file);
    }
    let mark = venv.join("installed");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == pinned) {
        return Ok(python);
    }
    println!("installing the schemas of Kubernetes");
    if venv.exists() {
        fs::remove_dir_all(&venv)?;
    }
    install(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    install(&mut pip)?;
    fs::write(mark, pinned)?;
    Ok(python)
}

/// Installs Debian's nginx.
pub(super) fn nginx() -> Result<()> {
    need("nginx-light", &["sh", "-c", "PATH=$PATH:/usr/sbin; command -v nginx"])
}

/// Installs what builds the container, and checks that it can work here.
pub(super) fn container_tools() -> Result<()> {
    need("buildah", &["buildah", "--version"])?;
    need("debootstrap", &["sh", "-c", "PATH=$PATH:/usr/sbin; command -v debootstrap"])?;
    if process::answer(Command::new("unshare").args(["--mount", "chroot", "/", "true"])).is_none() {
        let message = "containers cannot be built here: mounts and chroot are not permitted";
        return Err(Failure::environment(message, "as root of a machine: cargo xtask deploy-check --image").into());
    }
    Ok(())
}

/// Installs a package of Debian if a program does not run, and that is permitted.
fn need(package: &str, probe: &[&str]) -> Result<()> {
    let runs = || process::answer(Command::new(probe[0]).args(&probe[1..])).is_some();
    if runs() {
        return Ok(());
    }
    let is_root = process::answer(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
    if is_root && process::answer(Command::new("apt-get").arg("--version")).is_some() {
        install(Command::new("apt-get").arg("update"))?;
        install(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", package]))?;
    }
    if runs() {
        return Ok(());
    }
    let message = format!("`{}` does not run", probe.join(" "));
    Err(Failure::environment(message, format!("sudo apt-get install {package}   then: cargo xtask deploy-check"))
        .into())
}

fn install(command: &mut Command) -> Result<()> {
    if process::show(command)? {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let message = format!("`{program}` could not install what the checks need, as shown above");
    Err(Failure::environment(message, "cargo xtask deploy-check   (once the network is there)").into())
}
