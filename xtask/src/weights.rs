//! `cargo xtask fetch-weights`: builds the program of that name, and becomes it.

use std::env;
use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::failure::Failure;
use crate::workspace;

/// What was typed is handed on as it is; it was parsed, so it is well-formed.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    // xtask's own, where most of what the program depends on is built already.
    let target = root.join("target/xtask");
    if !target.join("debug/fetch-weights").exists() {
        eprintln!("building the downloader: about a minute, this first time");
    }
    let mut command = workspace::cargo(&["run", "--quiet", "--package", "fetch-weights"]);
    command.arg("--manifest-path").arg(root.join("Cargo.toml")).arg("--target-dir").arg(target);
    // --dest is relative to where it was typed.
    command.current_dir(env::current_dir().context("the current folder is gone")?);
    command.arg("--").args(env::args_os().skip(2));
    // In this process's place: an interrupt, and the exit code, are the program's own.
    let error = command.exec();
    Err(anyhow::Error::new(error).context(Failure::environment("`cargo` could not be started", "cargo xtask doctor")))
}
