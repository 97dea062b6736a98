//! Running other programs, with their output hidden or shown.

use std::io::ErrorKind;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::failure::Failure;

/// Returns the trimmed stdout of a program, or `None` if it is missing or fails.
pub fn answer(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program with its output shown. Returns true if it succeeds.
///
/// # Errors
/// If the program cannot be started.
pub fn show(command: &mut Command) -> Result<bool> {
    let status = command.status().map_err(|error| missing(command, error))?;
    Ok(status.success())
}

/// Runs a program and returns its status and output.
///
/// # Errors
/// If the program cannot be started.
pub fn capture(command: &mut Command) -> Result<Output> {
    command.output().map_err(|error| missing(command, error))
}

/// Starts a program.
///
/// # Errors
/// If the program cannot be started.
pub fn start(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| missing(command, error))
}

/// Waits until a program has ended, and returns its status, or `None` if it still runs after `limit`.
///
/// # Errors
/// If the program was lost.
pub fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        let status = child.try_wait()?;
        if status.is_some() || started.elapsed() >= limit {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn missing(command: &Command, error: std::io::Error) -> anyhow::Error {
    let program = command.get_program().to_string_lossy().into_owned();
    let message = match error.kind() {
        ErrorKind::NotFound => format!("`{program}` is not installed, or not on PATH"),
        _ => format!("`{program}` could not be started"),
    };
    let failure = Failure::environment(message, "cargo xtask doctor");
    anyhow::Error::new(error).context(failure)
}
