//! Documents and answers: what is learnt from a paragraph or a line of a file.

use std::{collections::BTreeMap, path::Path};

use llada_model::{Message, Tokenizer, Turn};
use serde::Deserialize;

use super::units::{Unit, UnitKind};
use crate::TrainError;

/// The roles of those who speak in a conversation. Another name may stand for one of them, and only the author of the
/// data knows which: if `gpt` is the assistant, nothing would be learnt from its answers.
pub(in crate::data) const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// A prompt, its answer, and the number of bytes of their text. In pre-training the prompt is what begins a document.
pub(super) struct Item {
    pub(super) prompt: Vec<u32>,
    pub(super) answer: Vec<u32>,
    pub(super) text_bytes: usize,
}

/// What is in the input that one might not expect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// The number of conversations left out because of a role that is none of system, developer, user, assistant and
    /// tool.
    pub of_unknown_roles: u64,
    /// Those roles, each with the number of conversations that it is in.
    pub unknown_roles: BTreeMap<String, u64>,
    /// The number of conversations in which the assistant says nothing: there is no answer to learn.
    pub without_answer: u64,
    /// The number of answers that the chat template renders otherwise than as a continuation of their prompt: their
    /// content and an end of turn are learnt.
    pub not_rendered: u64,
    /// The number of times that the text spells the mask, which is text to learn like any other.
    pub masks: u64,
    /// The number of times that the text spells the end of the text, which ends it for the model as well.
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

/// A line of JSON that a document may be made of.
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

/// The items of `unit`, and remarks on it.
pub(super) fn items(
    unit: &Unit,
    kind: UnitKind,
    tokenizer: &Tokenizer,
    path: &Path,
) -> Result<(Vec<Item>, Remarks), TrainError> {
    match kind {
        // A paragraph of a document that has begun.
        UnitKind::Paragraph => document(Vec::new(), &unit.text, tokenizer),
        UnitKind::Document => document(tokenizer.beginning()?, &unit.parse::<Document>(kind, path)?.text, tokenizer),
        UnitKind::Conversation => {
            let messages = unit.parse::<Conversation>(kind, path)?.messages;
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

/// Every answer of the assistant, with all that was said before as its prompt.
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
