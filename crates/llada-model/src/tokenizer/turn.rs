//! A turn of the assistant as a record to learn from: the same tokens that it is made of later, as history.

use super::Tokenizer;
use crate::{ModelError, chat::Message};

/// What asks for a message of the assistant, and the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Ids of the prompt: as [`Tokenizer::encode_chat`] gives them for the messages before.
    pub prompt: Vec<u32>,
    /// Ids of the message and of what the template ends it with.
    pub answer: Vec<u32>,
    /// Whether the answer is what the template writes. Where the template does not write a conversation by writing on, it
    /// is the content as it stands, ended by the end-of-turn token.
    pub is_rendered: bool,
}

impl Tokenizer {
    /// The last of `messages` as an answer to those before: what the template writes of it in a longer conversation,
    /// beyond what it writes to ask for it.
    ///
    /// # Errors
    /// There is no template for this tokenizer, or it refuses the messages; there are no messages.
    pub fn encode_turn(&self, messages: &[Message]) -> Result<Turn, ModelError> {
        let Some((message, before)) = messages.split_last() else {
            return Err(ModelError::NoChat { message: "a turn has no message".to_owned() });
        };
        let chat = self.chat()?;
        let asked = chat.render(before, true)?;
        let history = chat.render(before, false)?;
        let whole = chat.render(messages, false)?;
        // A template that asks for the next message whether told to or not does so after the answer too.
        let asking = if history == asked { self.asking(&asked)? } else { String::new() };
        let history = history.strip_suffix(&asking).unwrap_or(&history);
        let whole = whole.strip_suffix(&asking).unwrap_or(&whole);
        let (prompt, cut) = match whole.find(&asked) {
            Some(0) => (asked.as_str(), asked.len()),
            // What begins a conversation stands before the first header, which nothing but a message brings.
            Some(at) if before.is_empty() => (&whole[..at + asked.len()], at + asked.len()),
            _ if whole.starts_with(history) => (asked.as_str(), common_length(whole, &asked)),
            _ => {
                let prompt = self.encode_part(&asked)?;
                let mut answer = self.encode_part(&message.content)?;
                answer.extend(self.eot_id);
                return Ok(Turn { prompt, answer, is_rendered: false });
            }
        };
        let answer = self.encode_from(whole, cut, cut == prompt.len())?;
        Ok(Turn { prompt: self.encode_part(prompt)?, answer, is_rendered: true })
    }

    /// The special token that the template ends an answer with, unless that is the end of the text.
    pub(super) fn end_of_turn(&self) -> Option<u32> {
        let turn = self.encode_turn(&[Message::new("user", "a"), Message::new("assistant", "a")]).ok()?;
        let special = self.inner.get_added_tokens_decoder();
        let mut ends = turn.answer.into_iter().filter(|id| special.get(id).is_some_and(|token| token.special));
        ends.next().filter(|&id| turn.is_rendered && Some(id) != self.eos_id)
    }

    /// What the template ends `prompt` with to ask for an answer: what it writes so of no messages, compared by tokens,
    /// because texts of different tokens may end alike.
    fn asking(&self, prompt: &str) -> Result<String, ModelError> {
        let Ok(alone) = self.chat()?.render(&[], true) else { return Ok(String::new()) };
        let (alone, tokens) = (self.encoding(&alone, false)?, self.encoding(prompt, false)?);
        let pairs = alone.get_ids().iter().rev().zip(tokens.get_ids().iter().rev());
        let shared = pairs.take_while(|(a, b)| a == b).count();
        let first = tokens.get_offsets().len() - shared;
        let start = tokens.get_offsets().get(first).map_or(prompt.len(), |&(start, _)| start);
        Ok(prompt.get(start..).unwrap_or_default().to_owned())
    }

    /// The tokens of `whole` from byte `cut` on. One that spans the cut belongs to the answer; if `is_exact`, the rest is
    /// encoded alone instead, as it follows a prompt that ends there.
    fn encode_from(&self, whole: &str, cut: usize, is_exact: bool) -> Result<Vec<u32>, ModelError> {
        let encoding = self.encoding(whole, false)?;
        let first = encoding.get_offsets().iter().position(|&(_, end)| end > cut);
        let Some(first) = first else { return Ok(Vec::new()) };
        if is_exact && encoding.get_offsets()[first].0 < cut {
            return self.encode_part(&whole[cut..]);
        }
        Ok(encoding.get_ids()[first..].to_vec())
    }
}

/// The bytes that two texts begin with alike, in whole characters.
fn common_length(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(letter, _)| letter.len_utf8()).sum()
}
