//! Text to train on: WordNet's definitions, as `cargo xtask train-tiny` has extracted them; for tests, the tasks in words.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use llada_core::rng::Noise;
use llada_model::Tokenizer;
use llada_tasks::{ALL, Split, mixture};
use llada_train::data::prepare::{Format, Options, prepare};

/// What `cargo xtask train-tiny` has made in a folder.
pub struct WordNet {
    /// The tokenizer of llada-tiny.
    pub tokenizer: PathBuf,
    /// Documents to train on, as JSONL.
    pub text: PathBuf,
    /// Others to validate on.
    pub validation: PathBuf,
}

impl WordNet {
    /// Looks for it in `folder`.
    ///
    /// # Errors
    /// A part of it is missing.
    pub fn find(folder: &Path) -> anyhow::Result<Self> {
        let part = |name: &str| {
            let path = folder.join(name);
            if path.exists() { Ok(path) } else { bail!("there is no {}\nhint: cargo xtask train-tiny", path.display()) }
        };
        Ok(Self {
            tokenizer: part("tokenizer")?,
            text: part("wordnet/text.jsonl")?,
            validation: part("wordnet/validation.jsonl")?,
        })
    }
}

/// Writes the documents of `file`, a JSONL file, as a dataset in the ids of `tokenizer` to `folder`, unless it is there.
///
/// # Errors
/// A file cannot be read or written.
pub fn dataset(file: &Path, tokenizer: &Path, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let options = Options { format: Format::Jsonl, max_length: usize::MAX, answer_length: 0 };
    let encoder = Tokenizer::open(tokenizer)?.with_context(|| format!("no tokenizer in {}", tokenizer.display()))?;
    prepare(&[file.to_owned()], options, encoder, folder, |_| ())?;
    Ok(())
}

/// Writes 4000 questions with their answers to `file` as JSONL, and returns the lines.
///
/// # Errors
/// The file cannot be written.
pub fn tasks(file: &Path, split: Split) -> anyhow::Result<Vec<String>> {
    let examples = mixture(&ALL, split, Noise::new(0)).take(4000);
    let lines: Vec<String> = examples
        .map(|(task, example)| serde_json::to_string(&example.conversation(task.name())))
        .collect::<Result<_, _>>()?;
    fs::write(file, lines.join("\n")).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(lines)
}
