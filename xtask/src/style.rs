//! Colour, for people: plain text wherever the output is not a terminal, or NO_COLOR asks for it.

use std::env;
use std::io::{self, IsTerminal};

/// What is as it should be.
pub fn good(text: &str) -> String {
    paint("32", text)
}

/// What deserves a look.
pub fn doubtful(text: &str) -> String {
    paint("33", text)
}

/// What failed.
pub fn bad(text: &str) -> String {
    paint("31;1", text)
}

/// What to look at first.
pub fn strong(text: &str) -> String {
    paint("1", text)
}

fn paint(code: &str, text: &str) -> String {
    // Both streams, because a table piped into a file must stay plain although the messages still reach a terminal.
    let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
    if terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
