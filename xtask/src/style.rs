//! Colours. The text stays plain if the output is not a terminal or if NO_COLOR is set.

use std::env;
use std::io::{self, IsTerminal};

/// Colours a success.
pub fn good(text: &str) -> String {
    paint("32", text)
}

/// Colours a warning.
pub fn doubtful(text: &str) -> String {
    paint("33", text)
}

/// Colours a failure.
pub fn bad(text: &str) -> String {
    paint("31;1", text)
}

/// Emphasises text.
pub fn strong(text: &str) -> String {
    paint("1", text)
}

fn paint(code: &str, text: &str) -> String {
    // Both streams must be terminals: a table that is piped into a file stays plain although stderr is a terminal.
    let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
    if terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
