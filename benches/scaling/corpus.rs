//! The text: WordNet as `cargo xtask train-tiny` extracted it; for a test, the tasks in words.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use llada_core::rng::Noise;
use llada_model::Tokenizer;
use llada_tasks::{ALL, Split, mixture};
use llada_train::{
    data::prepare::{Format, Options, prepare},
    tokenizer,
};

/// Datasets with the tokenizer that they were made with.
pub(crate) struct Corpus {
    pub(crate) tokenizer: PathBuf,
    pub(crate) text: PathBuf,
    pub(crate) validation: PathBuf,
}

impl Corpus {
    /// The documents of WordNet in `folder` as datasets in `out`, where they stay.
    pub(crate) fn wordnet(folder: &Path, out: &Path) -> anyhow::Result<Self> {
        let [tokenizer, text, validation] = made(folder)?;
        Self::prepare(tokenizer, [&text, &validation], out)
    }

    /// As [`wordnet`](Self::wordnet), with `count` documents of the text, evenly spread over it.
    pub(crate) fn documents(count: usize, folder: &Path, out: &Path) -> anyhow::Result<Self> {
        let [tokenizer, all, validation] = made(folder)?;
        let text = fs::read_to_string(&all).with_context(|| format!("cannot read {}", all.display()))?;
        let lines: Vec<&str> = text.lines().collect();
        if count > lines.len() {
            bail!("there are {} documents in {}, not {count}", lines.len(), all.display());
        }
        let few = out.join("documents.jsonl");
        let spread = (0..count).map(|index| lines[index * lines.len() / count]).collect::<Vec<_>>();
        fs::write(&few, spread.join("\n")).with_context(|| format!("cannot write {}", few.display()))?;
        Self::prepare(tokenizer, [&few, &validation], out)
    }

    /// Questions and answers, and a tokenizer of their own.
    pub(crate) fn tasks(out: &Path) -> anyhow::Result<Self> {
        const EXAMPLES: usize = 4000;
        let [text, validation] = ["text.jsonl", "validation.jsonl"].map(|name| out.join(name));
        let mut lines = Vec::new();
        for (path, split) in [(&text, Split::Train), (&validation, Split::HeldOut)] {
            let examples = mixture(&ALL, split, Noise::new(0)).take(EXAMPLES);
            lines = examples
                .map(|(task, example)| serde_json::to_string(&example.conversation(task.name())))
                .collect::<Result<_, _>>()?;
            fs::write(path, lines.join("\n")).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let tokenizer = out.join("tokenizer");
        tokenizer::train(lines.iter(), 300, &tokenizer)?;
        Self::prepare(tokenizer, [&text, &validation], out)
    }

    fn prepare(tokenizer: PathBuf, files: [&PathBuf; 2], out: &Path) -> anyhow::Result<Self> {
        let [text, validation] = ["text", "validation"].map(|name| out.join(name));
        for (file, folder) in files.into_iter().zip([&text, &validation]) {
            if !folder.exists() {
                let options = Options { format: Format::Jsonl, max_length: usize::MAX, answer_length: 0 };
                let encoder =
                    Tokenizer::open(&tokenizer)?.with_context(|| format!("no tokenizer in {}", tokenizer.display()))?;
                prepare(std::slice::from_ref(file), options, encoder, folder, |_| ())?;
            }
        }
        Ok(Self { tokenizer, text, validation })
    }
}

/// The tokenizer, the text and the validation that `cargo xtask train-tiny` has made in `folder`.
fn made(folder: &Path) -> anyhow::Result<[PathBuf; 3]> {
    let paths = ["tokenizer", "wordnet/text.jsonl", "wordnet/validation.jsonl"].map(|name| folder.join(name));
    match paths.iter().find(|path| !path.exists()) {
        Some(path) => bail!("there is no {}\nhint: cargo xtask train-tiny", path.display()),
        None => Ok(paths),
    }
}
