//! What the checks need: programs of Debian, and pytest, schemas and shellcheck below `target/deploy-check`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{scratch, sources};
use crate::failure::Failure;
use crate::installer::Installer;
use crate::process;

const INSTALLER: Installer = Installer { command: "cargo xtask deploy-check" };

/// Installs the packages of Python in a virtual environment, and returns its Python.
pub(super) fn python() -> Result<PathBuf> {
    INSTALLER.python(&scratch().join("venv"), &sources(), "the schemas of manifests")
}

/// Installs Debian's nginx.
pub(super) fn nginx() -> Result<()> {
    INSTALLER.need("nginx-light", &["sh", "-c", "PATH=$PATH:/usr/sbin; command -v nginx"])
}

/// Installs what builds the container, and checks that it can work here.
pub(super) fn container_tools() -> Result<()> {
    INSTALLER.need("buildah", &["buildah", "--version"])?;
    INSTALLER.need("debootstrap", &["sh", "-c", "PATH=$PATH:/usr/sbin; command -v debootstrap"])?;
    if process::answer(Command::new("unshare").args(["--mount", "chroot", "/", "true"])).is_none() {
        let message = "containers cannot be built here: mounts and chroot are not permitted";
        return Err(Failure::environment(message, "as root of a machine: cargo xtask deploy-check --image").into());
    }
    Ok(())
}
