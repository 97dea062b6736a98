//! Benchmarks that train for hours: Ctrl-C lets them save, and the same command goes on.
#![allow(clippy::print_stderr, reason = "what a program ends with")]

use std::{
    process::{self, ExitCode},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Context;

/// Whether Ctrl-C was pressed.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C, which sets [`STOP`]; a second one ends the program at once.
///
/// # Errors
/// The system does not allow it.
pub fn listen() -> anyhow::Result<()> {
    let stop = || {
        if STOP.swap(true, Ordering::Relaxed) {
            process::exit(130);
        }
    };
    ctrlc::set_handler(stop).context("cannot listen for Ctrl-C")
}

/// Tells how a program has ended of which `done` says whether all of it was done, and returns its exit code.
pub fn end(done: anyhow::Result<bool>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("stopped\nhint: the same command goes on");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
