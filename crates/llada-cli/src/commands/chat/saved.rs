//! A chat in a file: its messages and settings, as a line of the requests that `llada batch` answers.

use std::{io::Write, path::Path};

use llada_model::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{conversation::Conversation, settings::Settings};
use crate::{
    exit::usage,
    file::{read_text, write_whole},
};

#[derive(Serialize, Deserialize)]
struct Saved {
    /// What a request is called by. A chat has no use for it.
    #[serde(default)]
    id: Value,
    messages: Vec<Message>,
    #[serde(flatten)]
    options: Map<String, Value>,
}

/// Creates or replaces the file at `path`.
pub(super) fn save(path: &Path, conversation: &Conversation, settings: &Settings) -> anyhow::Result<()> {
    let (messages, options) = (conversation.messages(), settings.options().clone());
    let saved = Saved { id: "chat".into(), messages, options };
    write_whole(path, |file| Ok(writeln!(file, "{}", serde_json::to_string(&saved)?)?))
}

/// Reads the file at `path`, whose settings are for the model of `settings`.
pub(super) fn load(path: &Path, settings: &Settings) -> anyhow::Result<(Conversation, Settings)> {
    let text = read_text(path)?;
    let saved: Saved = serde_json::from_str(&text)
        .map_err(|error| usage(format!("{}: not a conversation: {error}\nhint: /save writes one", path.display())))?;
    let mut options = saved.options;
    options.retain(|_, value| !value.is_null());
    Ok((Conversation::from_messages(saved.messages), settings.replaced(options)?))
}
