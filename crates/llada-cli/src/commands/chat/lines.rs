//! The lines that a user types: with an editor on a terminal, otherwise as they come.

use std::io::{IsTerminal, Lines as Plain, StdinLock, stdin};

use anyhow::Context;
use rustyline::{Behavior, Config, DefaultEditor, error::ReadlineError};

const PROMPT: &str = "> ";

/// The lines of standard input.
pub(super) enum Lines {
    /// Lines can be edited, and earlier ones recalled.
    Edited(Box<DefaultEditor>),
    Plain(Plain<StdinLock<'static>>),
}

impl Lines {
    pub(super) fn open() -> anyhow::Result<Self> {
        if !stdin().is_terminal() {
            return Ok(Self::Plain(stdin().lines()));
        }
        eprintln!("A line is a message. /help lists the commands, Ctrl-D ends the chat.");
        // The prompt is shown on the terminal even if answers go elsewhere.
        let config = Config::builder().behavior(Behavior::PreferTerm).auto_add_history(true).build();
        Ok(Self::Edited(Box::new(DefaultEditor::with_config(config).context("cannot use the terminal")?)))
    }

    /// Returns the next line, or `None` at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<String>> {
        match self {
            Self::Edited(editor) => edited(editor),
            Self::Plain(lines) => lines.next().transpose().context("cannot read standard input"),
        }
    }
}

fn edited(editor: &mut DefaultEditor) -> anyhow::Result<Option<String>> {
    let mut is_interrupted = false;
    loop {
        match editor.readline(PROMPT) {
            Ok(line) => return Ok(Some(line)),
            Err(ReadlineError::Eof) => return Ok(None),
            Err(ReadlineError::Interrupted) if is_interrupted => return Ok(None),
            Err(ReadlineError::Interrupted) => {
                is_interrupted = true;
                eprintln!("Ctrl-C again ends the chat");
            }
            Err(error) => return Err(error).context("cannot read the terminal"),
        }
    }
}
