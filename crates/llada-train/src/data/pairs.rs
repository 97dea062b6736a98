//! Preference data: for each prompt an answer that was chosen and one that was rejected, a line of JSON each.
//!
//! `prompt`, `chosen` and `rejected` are texts or lists of messages. Where there is no prompt, the two answers are
//! whole conversations, and what they have in common is the prompt.

use llada_model::{Message, Tokenizer, Turn};
use serde::Deserialize;

use super::lines::Item;

/// A prompt with two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) prompt: Vec<u32>,
    pub(crate) chosen: Vec<u32>,
    pub(crate) rejected: Vec<u32>,
}

/// A line of a file.
#[derive(Deserialize)]
pub(crate) struct Line {
    prompt: Option<Content>,
    chosen: Content,
    rejected: Content,
}

/// What is said: a text, or messages.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Messages(Vec<Message>),
}

impl Content {
    /// The messages, where a text is one of `role`.
    pub(super) fn messages(self, role: &str) -> Vec<Message> {
        match self {
            Self::Text(text) => vec![Message::new(role, text)],
            Self::Messages(messages) => messages,
        }
    }
}

impl Item for Pair {
    type Line = Line;

    const EXPECTED: &'static str =
        r#"{"prompt": "...", "chosen": "...", "rejected": "..."}, texts or lists of messages"#;

    fn encode(line: Line, tokenizer: &Tokenizer) -> Result<Self, String> {
        let (mut chosen, mut rejected) = (line.chosen.messages("assistant"), line.rejected.messages("assistant"));
        let same =
            |a: &[Message], b: &[Message]| a.iter().zip(b).all(|(a, b)| a.role == b.role && a.content == b.content);
        if let Some(prompt) = line.prompt {
            let prompt = prompt.messages("user");
            // Some datasets have the prompt a second time, in front of the answers.
            let has_prompt = |said: &[Message]| said.len() > prompt.len() && same(&prompt, said);
            if !(has_prompt(&chosen) && has_prompt(&rejected)) {
                chosen.splice(0..0, prompt.iter().cloned());
                rejected.splice(0..0, prompt);
            }
        }
        let before = chosen.len().saturating_sub(1);
        let is_answer = |messages: &[Message]| messages.last().is_some_and(|message| message.role == "assistant");
        if chosen.len() != rejected.len() || !same(&chosen[..before], &rejected) {
            return Err("the two answers are not to the same messages".to_owned());
        }
        if !is_answer(&chosen) || !is_answer(&rejected) {
            return Err("the last message is not the assistant's".to_owned());
        }
        let eos = tokenizer.eos_id().ok_or("the tokenizer has no end-of-text token")?;
        let encode = |messages: &[Message]| {
            let mut turn = tokenizer.encode_turn(messages).map_err(|error| error.to_string())?;
            turn.answer.push(eos);
            Ok::<Turn, String>(turn)
        };
        let (chosen, rejected) = (encode(&chosen)?, encode(&rejected)?);
        Ok(Pair { prompt: chosen.prompt, chosen: chosen.answer, rejected: rejected.answer })
    }

    fn length(&self) -> usize {
        self.prompt.len() + self.chosen.len().max(self.rejected.len())
    }
}
