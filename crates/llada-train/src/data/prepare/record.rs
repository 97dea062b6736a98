//! From a unit of a file to what is learnt from it: a document, or the answers of a conversation.

use std::{collections::BTreeMap, path::Path};

use llada_model::{Message, Tokenizer, Turn};
use serde::Deserialize;

use super::{Format, units::Unit};
use crate::TrainError;

/// The roles of those who speak in a conversation. Another name may stand for one of them, and only who wrote the data
/// knows for which: `gpt` for the assistant, whose answers would be learnt from by nobody.
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// A prompt, what follows it, and the bytes of their text. In pre-training the prompt is what begins a document.
pub(super) struct Item {
    pub(super) prompt: Vec<u32>,
    pub(super) answer: Vec<u32>,
    pub(super) text_bytes: usize,
}

/// What of the input is worth telling, because it is not what one might expect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Conversations left out because of a role that is none of system, developer, user, assistant and tool.
    pub of_unknown_roles: u64,
    /// Those roles, and in how many conversations each is.
    pub unknown_roles: BTreeMap<String, u64>,
    /// Conversations in which the assistant says nothing: there is no answer to learn.
    pub without_answer: u64,
    /// Answers that the chat template does not write on from their prompt: their content and an end of turn are learnt.
    pub not_rendered: u64,
    /// How often the text spells the mask, which is text to learn like any other.
    pub masks: u64,
    /// How often the text spells the end of the text, which ends it for the model as well.
    pub ends: u64,
}

impl Remarks {
    pub(super) fn add(&mut self, other: Self) {
        self.of_unknown_roles += other.of_unknown_roles;
        for (role, count) in other.unknown_roles {
            *self.unknown_roles.entry(role).or_default() += count;
        }
        self.without_answer += other.without_answer;
        self.not_rendered += other.not_rendered;
        self.masks += other.masks;
        self.ends += other.ends;
    }

    fn look_at(&mut self, text: &str, tokenizer: &Tokenizer) {
        let count = |token: String| if token.is_empty() { 0 } else { text.matches(&token).count() as u64 };
        self.masks += tokenizer.mask_id().map_or(0, |_| count(tokenizer.mask().to_owned()));
        self.ends += tokenizer.eos_id().map_or(0, |id| count(tokenizer.piece(id)));
    }
}

#[derive(Deserialize)]
#[serde(try_from = "Line")]
pub(super) struct Document {
    pub(super) text: String,
}

/// What a document may be made of.
#[derive(Deserialize)]
struct Line {
    text: Option<String>,
    messages: Option<Vec<Message>>,
}

impl TryFrom<Line> for Document {
    type Error = &'static str;

    fn try_from(line: Line) -> Result<Self, Self::Error> {
        let joined = |messages: Vec<Message>| {
            messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n")
        };
        let text = line.text.or_else(|| line.messages.map(joined)).ok_or("neither `text` nor `messages`")?;
        Ok(Self { text })
    }
}

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Message>,
}

/// What is learnt from `unit`.
pub(super) fn items(
    unit: &Unit,
    format: Format,
    tokenizer: &Tokenizer,
    path: &Path,
) -> Result<(Vec<Item>, Remarks), TrainError> {
    match format {
        // A paragraph of a document that has begun.
        Format::Text => document(Vec::new(), &unit.text, tokenizer),
        Format::Jsonl => document(tokenizer.beginning()?, &unit.parse::<Document>(format, path)?.text, tokenizer),
        Format::Chat => {
            let messages = unit.parse::<Conversation>(format, path)?.messages;
            answers(&messages, tokenizer).map_err(|error| unit.refuse(path, error))
        }
    }
}

fn document(prompt: Vec<u32>, text: &str, tokenizer: &Tokenizer) -> Result<(Vec<Item>, Remarks), TrainError> {
    let mut remarks = Remarks::default();
    remarks.look_at(text, tokenizer);
    let item = Item { prompt, answer: tokenizer.encode_part(text)?, text_bytes: text.len() };
    Ok((vec![item], remarks))
}

/// Every answer of the assistant, after all that was said before.
fn answers(messages: &[Message], tokenizer: &Tokenizer) -> Result<(Vec<Item>, Remarks), TrainError> {
    let mut remarks = Remarks::default();
    for role in messages.iter().map(|message| &message.role).filter(|role| !ROLES.contains(&role.as_str())) {
        remarks.unknown_roles.insert(role.clone(), 1);
        remarks.of_unknown_roles = 1;
    }
    if remarks.of_unknown_roles > 0 {
        return Ok((Vec::new(), remarks));
    }
    let mut items = Vec::new();
    for (index, _) in messages.iter().enumerate().filter(|(_, message)| message.role == "assistant") {
        let Turn { prompt, answer, is_rendered } = tokenizer.encode_turn(&messages[..=index])?;
        let text_bytes = messages[..=index].iter().map(|message| message.content.len()).sum();
        remarks.not_rendered += u64::from(!is_rendered);
        items.push(Item { prompt, answer, text_bytes });
    }
    remarks.without_answer = u64::from(items.is_empty());
    for message in messages {
        remarks.look_at(&message.content, tokenizer);
    }
    Ok((items, remarks))
}
