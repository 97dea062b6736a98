//! `cargo xtask fetch-weights`: builds the program of that name and replaces this process with it.

use std::env;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::failure::Failure;
use crate::workspace;

/// Passes the arguments on unchanged. They have been parsed, so they are valid.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    // The target folder of xtask, which already has most of the program's dependencies.
    let target = root.join("target/xtask");
    if !target.join("debug/fetch-weights").exists() {
        eprintln!("building the downloader: about a minute, this first time");
    }
    let mut command = workspace::cargo(&["run", "--quiet", "--package", "fetch-weights"]);
    command.arg("--manifest-path").arg(root.join("Cargo.toml")).arg("--target-dir").arg(target);
    // --dest is relative to the current folder.
    command.current_dir(env::current_dir().context("the current folder is gone")?);
    command.arg("--").args(env::args_os().skip(2));
    // The program replaces this process, so interrupts and the exit code are its own.
    let error = command.exec();
    Err(anyhow::Error::new(error).context(Failure::environment("`cargo` could not be started", "cargo xtask doctor")))
}
