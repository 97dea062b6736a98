//! Preference data: for each prompt an answer that was chosen and one that was rejected, a line of JSON each.
//!
//! `prompt`, `chosen` and `rejected` are texts or lists of messages. Where there is no prompt, the two answers are whole
//! conversations, and what they have in common is the prompt.

use std::path::PathBuf;

use llada_model::{Message, ModelError, Tokenizer, Turn};
use rayon::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::prepare::{Format, Units};
use crate::{TrainError, checkpoint::hexadecimal};

/// What a line looks like.
const EXPECTED: &str = r#"{"prompt": "...", "chosen": "...", "rejected": "..."}, texts or lists of messages"#;

/// A prompt with two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) prompt: Vec<u32>,
    pub(crate) chosen: Vec<u32>,
    pub(crate) rejected: Vec<u32>,
}

/// The pairs of some files.
#[derive(Debug)]
pub(crate) struct Pairs {
    pub(crate) pairs: Vec<Pair>,
    /// The number of pairs that were longer than the model's sequences.
    pub(crate) too_long: u64,
    /// The SHA-256 of the files.
    pub(crate) digest: String,
}

#[derive(Deserialize)]
struct Line {
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

impl Pairs {
    /// Reads the pairs of `files`. Those whose prompt and longer answer are more than `max_length` tokens are left out.
    ///
    /// # Errors
    /// A file cannot be read, a line is not of the format, or the tokenizer has no chat template or end-of-text.
    pub(crate) fn read(files: &[PathBuf], tokenizer: Tokenizer, max_length: usize) -> Result<Self, TrainError> {
        if let Some(problem) = tokenizer.chat_problem() {
            return Err(ModelError::NoChat { message: problem.to_owned() }.into());
        }
        let tokenizer = tokenizer.with_masks_as_text();
        let mut read = Self { pairs: Vec::new(), too_long: 0, digest: String::new() };
        let mut digest = Sha256::new();
        for path in files {
            let mut units = Units::open(path, Format::Jsonl)?;
            while let Some((chunk, _)) = units.chunk()? {
                let pairs: Vec<Pair> = chunk
                    .par_iter()
                    .map(|unit| {
                        let line = unit.parse_as::<Line>(path, EXPECTED)?;
                        pair(line, &tokenizer).map_err(|error| unit.refuse(path, error))
                    })
                    .collect::<Result<_, _>>()?;
                for (unit, pair) in chunk.iter().zip(pairs) {
                    digest.update(unit.text.as_bytes());
                    let longer = pair.chosen.len().max(pair.rejected.len());
                    if pair.prompt.len() + longer > max_length {
                        read.too_long += 1;
                    } else {
                        read.pairs.push(pair);
                    }
                }
            }
        }
        read.digest = hexadecimal(&digest.finalize());
        Ok(read)
    }
}

/// The tokens of a line; the error says what is wrong with it.
fn pair(line: Line, tokenizer: &Tokenizer) -> Result<Pair, String> {
    let (mut chosen, mut rejected) = (line.chosen.messages("assistant"), line.rejected.messages("assistant"));
    let same = |a: &[Message], b: &[Message]| a.iter().zip(b).all(|(a, b)| a.role == b.role && a.content == b.content);
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
