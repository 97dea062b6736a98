//! `cargo xtask cluster`: runs by processes that are killed, and by two hosts, which are network namespaces of this machine,
//! with cables that are cut.
//!
//! The checks are in `xtask/cluster`, and pytest runs them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::failure::Failure;
use crate::installer::Installer;
use crate::{llada, process, setup, style, workspace};

const INSTALLER: Installer = Installer { command: "cargo xtask cluster" };

pub(crate) fn run() -> Result<()> {
    INSTALLER.need("iproute2", &["ip", "-V"])?;
    let python = INSTALLER.python(&workspace::target().join("cluster/venv"), &sources(), "pytest")?;
    setup::ensure()?;
    let mut command = Command::new(python);
    command.current_dir(sources()).env("PYTHONDONTWRITEBYTECODE", "1").env("LLADA", llada::build()?);
    if process::show(command.args(["-m", "pytest", "-rsP"]))? {
        println!("{} runs of several processes and hosts, but for what was skipped", style::good("ok"));
        return Ok(());
    }
    Err(Failure::failed("a run of several processes went wrong, as shown above", "cargo xtask cluster").into())
}

/// Returns the folder of the checks.
fn sources() -> PathBuf {
    workspace::root().join("xtask/cluster")
}
