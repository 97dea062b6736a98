//! Preparation of a dataset: from files of text, or of tokens, to token shards.

mod datatrove;
mod record;
mod units;

use std::path::{Path, PathBuf};

use llada_model::{ModelError, Tokenizer};
use rayon::prelude::*;

pub use record::Remarks;

pub(super) use self::record::ROLES;
use self::record::{Document, Item, items};
pub(super) use self::units::{Unit, UnitKind, Units};
use super::{DatasetKind, DatasetWriter, files};
use crate::TrainError;

/// The format of input files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text, each file a document.
    Text,
    /// One `{"text": ...}` a line, or a row of parquet with this column, each a document. A line of
    /// [`Chat`](Self::Chat) is the document of its messages, a line each.
    Jsonl,
    /// One `{"messages": [{"role": ..., "content": ...}, ...]}` a line, or a row of parquet, each a conversation: every
    /// answer of the assistant becomes a record, with all that was said before as its prompt (section 2.3 of the paper).
    Chat,
    /// Ids that datatrove has written with the same tokenizer, `NAME.ds` beside `NAME.ds.index`.
    Datatrove,
}

impl Format {
    /// How the names of its files end.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Text => &["txt"],
            Self::Jsonl | Self::Chat => &["jsonl", "json", "parquet"],
            Self::Datatrove => &["ds"],
        }
    }

    /// What the units of its files are. Ids have none.
    fn unit(self) -> Option<UnitKind> {
        match self {
            Self::Text => Some(UnitKind::Paragraph),
            Self::Jsonl => Some(UnitKind::Document),
            Self::Chat => Some(UnitKind::Conversation),
            Self::Datatrove => None,
        }
    }
}

/// How to prepare a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The format of the files.
    pub format: Format,
    /// The largest number of tokens of a record; longer ones are left out.
    pub max_length: usize,
    /// The smallest number of tokens of an answer, its EOS included; shorter ones are padded with EOS. This is how a
    /// model learns to end an answer on a canvas of this length, without the padding of a whole batch.
    pub answer_length: usize,
}

/// What a preparation wrote and left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// The number of documents or records written.
    pub items: u64,
    /// The number of records left out because they were too long.
    pub too_long: u64,
    /// The number of bytes of the input that were read.
    pub bytes: u64,
    /// Remarks on the input.
    pub remarks: Remarks,
}

/// The files that `inputs` are: a file itself, and those of a folder whose names end as those of `format` do, in the
/// order of their paths. Names that begin with a dot or an underscore, as those that Spark leaves, are passed over.
///
/// # Errors
/// A folder cannot be read, or has no such file.
pub fn inputs(inputs: &[PathBuf], format: Format) -> Result<Vec<PathBuf>, TrainError> {
    let mut found = Vec::new();
    for input in inputs {
        match input.is_dir() {
            true => found.extend(files::within(input, format.endings())?.into_iter().map(|file| input.join(file))),
            false => found.push(input.clone()),
        }
    }
    Ok(found)
}

/// Tokenises `files` into the new dataset `out`; `observe` hears the number of bytes read so far. A mask that the text
/// spells is text.
///
/// # Errors
/// A file cannot be read, or a line is not of the format; the format is a chat and `tokenizer` has no chat template; ids
/// are not those of `tokenizer`; the dataset cannot be written.
pub fn prepare(
    files: &[PathBuf],
    options: Options,
    tokenizer: Tokenizer,
    out: &Path,
    mut observe: impl FnMut(u64),
) -> Result<Prepared, TrainError> {
    let Options { format, max_length, answer_length } = options;
    let kind = if format == Format::Chat { DatasetKind::Sft } else { DatasetKind::Pretrain };
    if let Some(problem) = tokenizer.chat_problem().filter(|_| format == Format::Chat) {
        return Err(ModelError::NoChat { message: problem.to_owned() }.into());
    }
    let tokenizer = tokenizer.with_masks_as_text();
    let eos = tokenizer.eos_id().ok_or_else(|| TrainError::file(out, "the tokenizer has no end-of-text token"))?;
    let mut writer = DatasetWriter::create(out, kind, tokenizer.vocab_size(), eos)?;
    let mut prepared = Prepared::default();
    let beginning = tokenizer.beginning()?;
    for path in files {
        let Some(unit_kind) = format.unit() else {
            datatrove::add(path, &tokenizer, &mut writer, &mut prepared, &mut observe)?;
            continue;
        };
        let mut units = Units::open(path, unit_kind)?;
        if unit_kind == UnitKind::Paragraph {
            writer.part(&beginning, 0)?;
        }
        while let Some((chunk, bytes)) = units.chunk()? {
            let found: Vec<(Vec<Item>, Remarks)> =
                chunk.par_iter().map(|unit| items(unit, unit_kind, &tokenizer, path)).collect::<Result<_, _>>()?;
            let (items, remarks): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            for remarks in remarks {
                prepared.remarks.add(remarks);
            }
            for Item { prompt, mut answer, text_bytes } in items.into_iter().flatten() {
                if kind == DatasetKind::Pretrain {
                    writer.part(&prompt, 0)?;
                    writer.part(&answer, text_bytes)?;
                    if unit_kind == UnitKind::Document {
                        writer.end()?;
                        prepared.items += 1;
                    }
                    continue;
                }
                // The writer ends the answer with one more.
                answer.resize(answer.len().max(answer_length.saturating_sub(1)), eos);
                if prompt.len() + answer.len() < max_length {
                    writer.record(&prompt, &answer, text_bytes)?;
                    prepared.items += 1;
                } else {
                    prepared.too_long += 1;
                }
            }
            prepared.bytes += bytes as u64;
            observe(prepared.bytes);
        }
        if unit_kind == UnitKind::Paragraph {
            writer.end()?;
            prepared.items += 1;
        }
    }
    writer.finish()?;
    Ok(prepared)
}

/// All text of `files`, in pieces, for a tokenizer to learn from.
///
/// # Errors
/// A file cannot be read, or a line is not of `format`.
pub fn texts(files: &[PathBuf], format: Format) -> Result<Vec<String>, TrainError> {
    let refuse = || TrainError::config("format", "datatrove", "ids are no text to learn a vocabulary from");
    let kind = format.unit().ok_or_else(refuse)?;
    let mut texts = Vec::new();
    for path in files {
        let mut units = Units::open(path, kind)?;
        while let Some((chunk, _)) = units.chunk()? {
            for unit in chunk {
                texts.push(match kind {
                    UnitKind::Paragraph => unit.text,
                    // A conversation is the document of its messages.
                    UnitKind::Document | UnitKind::Conversation => {
                        unit.parse::<Document>(UnitKind::Document, path)?.text
                    }
                });
            }
        }
    }
    Ok(texts)
}
