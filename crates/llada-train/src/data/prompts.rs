//! Prompts without answers, a line of JSON each: `prompt`, a text or a list of messages, or `messages`, of which the
//! last answer is left out.

use llada_model::{Message, Tokenizer};
use serde::Deserialize;

use super::{lines::Item, pairs::Content};

/// The token ids of a prompt, as the model is asked it.
pub(crate) type Prompt = Vec<u32>;

/// A line of a file.
#[derive(Deserialize)]
pub(crate) struct Line {
    prompt: Option<Content>,
    messages: Option<Vec<Message>>,
}

impl Item for Prompt {
    type Line = Line;

    const EXPECTED: &'static str = r#"{"prompt": "..."} or {"messages": [{"role": "user", "content": "..."}, ...]}"#;

    fn encode(line: Line, tokenizer: &Tokenizer) -> Result<Self, String> {
        let messages = messages(line).ok_or("there is no prompt")?;
        tokenizer.encode_chat(&messages).map_err(|error| error.to_string())
    }

    fn length(&self) -> usize {
        self.len()
    }
}

/// The messages of a prompt, if there are any.
fn messages(line: Line) -> Option<Vec<Message>> {
    let mut messages = match (line.prompt, line.messages) {
        (Some(prompt), _) => prompt.messages("user"),
        (None, messages) => messages?,
    };
    if messages.last()?.role == "assistant" {
        messages.pop();
    }
    if messages.is_empty() { None } else { Some(messages) }
}
