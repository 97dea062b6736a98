//! The text: WordNet as `cargo xtask train-tiny` extracted it; for a test, the tasks in words.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use llada_benches::corpus::{WordNet, dataset, tasks};
use llada_tasks::Split;
use llada_train::tokenizer;

/// Datasets with the tokenizer that they were made with.
pub(crate) struct Corpus {
    pub(crate) tokenizer: PathBuf,
    pub(crate) text: PathBuf,
    pub(crate) validation: PathBuf,
}

impl Corpus {
    /// The documents of WordNet in `folder` as datasets in `out`, where they stay.
    pub(crate) fn wordnet(folder: &Path, out: &Path) -> anyhow::Result<Self> {
        let WordNet { tokenizer, text, validation } = WordNet::find(folder)?;
        Self::prepare(tokenizer, [&text, &validation], out)
    }

    /// As [`wordnet`](Self::wordnet), with `count` documents of the text, evenly spread over it.
    pub(crate) fn documents(count: usize, folder: &Path, out: &Path) -> anyhow::Result<Self> {
        let WordNet { tokenizer, text: all, validation } = WordNet::find(folder)?;
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
        let [text, validation] = ["text.jsonl", "validation.jsonl"].map(|name| out.join(name));
        tasks(&text, Split::Train)?;
        let lines = tasks(&validation, Split::HeldOut)?;
        let tokenizer = out.join("tokenizer");
        tokenizer::train(lines.iter(), 300, &tokenizer)?;
        Self::prepare(tokenizer, [&text, &validation], out)
    }

    fn prepare(tokenizer: PathBuf, files: [&PathBuf; 2], out: &Path) -> anyhow::Result<Self> {
        let [text, validation] = ["text", "validation"].map(|name| out.join(name));
        for (file, folder) in files.into_iter().zip([&text, &validation]) {
            dataset(file, &tokenizer, folder)?;
        }
        Ok(Self { tokenizer, text, validation })
    }
}
