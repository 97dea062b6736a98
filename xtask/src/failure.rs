//! Failures as the user sees them: a message, its causes, a hint, and an exit code.

use std::fmt;
use std::process::ExitCode;

use crate::style;

/// An error with a hint. It is the outermost error, or the context of the error that caused it.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: String,
    exit: u8,
}

impl Failure {
    /// Creates a failure of the work itself, with exit code 1.
    pub fn failed(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), exit: 1 }
    }

    /// Creates a failure of the environment, with exit code 3: a tool, disk space, the network or a permission is missing.
    pub fn environment(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: 3, ..Self::failed(message, hint) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Prints an error with its causes and its hint, and returns its exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("{} {error}", style::bad("error:"));
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    let failure = error.downcast_ref::<Failure>();
    let hint = failure.map_or("cargo xtask doctor", |failure| &failure.hint);
    eprintln!("{} {hint}", style::strong("hint:"));
    ExitCode::from(failure.map_or(1, |failure| failure.exit))
}
