//! Prompts without answers, a line of JSON each: `prompt`, a text or a list of messages, or `messages`, of which the last
//! answer is left out.

use std::path::PathBuf;

use llada_model::{Message, ModelError, Tokenizer};
use rayon::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    pairs::Content,
    prepare::{Format, Unit, Units},
};
use crate::{TrainError, checkpoint::hexadecimal};

/// What a line looks like.
const EXPECTED: &str = r#"{"prompt": "..."} or {"messages": [{"role": "user", "content": "..."}, ...]}"#;

/// The prompts of some files.
#[derive(Debug)]
pub(crate) struct Prompts {
    /// The token ids of each, as the model is asked it.
    pub(crate) ids: Vec<Vec<u32>>,
    /// The number of those that were too long.
    pub(crate) too_long: u64,
    /// The SHA-256 of the files.
    pub(crate) digest: String,
}

#[derive(Deserialize)]
struct Line {
    prompt: Option<Content>,
    messages: Option<Vec<Message>>,
}

impl Prompts {
    /// Reads the prompts of `files` and leaves out those of more than `max_length` tokens.
    ///
    /// # Errors
    /// A file cannot be read, a line is not of the format, or the tokenizer has no chat template.
    pub(crate) fn read(files: &[PathBuf], tokenizer: Tokenizer, max_length: usize) -> Result<Self, TrainError> {
        if let Some(problem) = tokenizer.chat_problem() {
            return Err(ModelError::NoChat { message: problem.to_owned() }.into());
        }
        let tokenizer = tokenizer.with_masks_as_text();
        let mut read = Self { ids: Vec::new(), too_long: 0, digest: String::new() };
        let mut digest = Sha256::new();
        for path in files {
            let mut units = Units::open(path, Format::Jsonl)?;
            while let Some((chunk, _)) = units.chunk()? {
                let encode = |unit: &Unit| {
                    let messages = messages(unit.parse_as::<Line>(path, EXPECTED)?);
                    let messages = messages.ok_or_else(|| unit.refuse(path, "there is no prompt"))?;
                    tokenizer.encode_chat(&messages).map_err(|error| unit.refuse(path, error))
                };
                let prompts: Vec<Vec<u32>> = chunk.par_iter().map(encode).collect::<Result<_, TrainError>>()?;
                for (unit, ids) in chunk.iter().zip(prompts) {
                    digest.update(unit.text.as_bytes());
                    if ids.len() > max_length {
                        read.too_long += 1;
                    } else {
                        read.ids.push(ids);
                    }
                }
            }
        }
        read.digest = hexadecimal(&digest.finalize());
        Ok(read)
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
