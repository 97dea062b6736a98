//! Files of JSON lines that are encoded as a whole, each line by a chat template.

use std::path::PathBuf;

use llada_model::{ModelError, Tokenizer};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::prepare::{Unit, UnitKind, Units};
use crate::{TrainError, checkpoint::hexadecimal};

/// What the lines of some files are in tokens.
#[derive(Debug)]
pub(crate) struct Lines<T> {
    pub(crate) items: Vec<T>,
    /// The number of those that were too long.
    pub(crate) too_long: u64,
    /// The SHA-256 of the files.
    pub(crate) digest: String,
}

/// What a line may be.
pub(crate) trait Item: Sized + Send {
    /// The line.
    type Line: DeserializeOwned;

    /// What a line looks like, for errors.
    const EXPECTED: &'static str;

    /// The item of a line; the error says what is wrong with it.
    fn encode(line: Self::Line, tokenizer: &Tokenizer) -> Result<Self, String>;

    /// The number of its tokens.
    fn length(&self) -> usize;
}

impl<T: Item> Lines<T> {
    /// Reads `files` and leaves out what is longer than `max_length` tokens.
    ///
    /// # Errors
    /// A file cannot be read, a line is not of the format, or the tokenizer has no chat template.
    pub(crate) fn read(files: &[PathBuf], tokenizer: Tokenizer, max_length: usize) -> Result<Self, TrainError> {
        if let Some(problem) = tokenizer.chat_problem() {
            return Err(ModelError::NoChat { message: problem.to_owned() }.into());
        }
        let tokenizer = tokenizer.with_masks_as_text();
        let mut read = Self { items: Vec::new(), too_long: 0, digest: String::new() };
        let mut digest = Sha256::new();
        for path in files {
            let mut units = Units::open(path, UnitKind::Document)?;
            while let Some((chunk, _)) = units.chunk()? {
                let encode = |unit: &Unit| {
                    let line = unit.parse_as(path, T::EXPECTED)?;
                    T::encode(line, &tokenizer).map_err(|error| unit.refuse(path, error))
                };
                let items: Vec<T> = chunk.par_iter().map(encode).collect::<Result<_, TrainError>>()?;
                for (unit, item) in chunk.iter().zip(items) {
                    digest.update(unit.text.as_bytes());
                    if item.length() > max_length {
                        read.too_long += 1;
                    } else {
                        read.items.push(item);
                    }
                }
            }
        }
        read.digest = hexadecimal(&digest.finalize());
        Ok(read)
    }
}
