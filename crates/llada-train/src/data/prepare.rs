//! From files of text to token shards.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use llada_model::{Message, Tokenizer};
use rayon::prelude::*;
use serde::{Deserialize, de::DeserializeOwned};

use super::{DatasetWriter, Kind};
use crate::TrainError;

/// What the lines of an input file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text; each file is a document.
    Text,
    /// One `{"text": ...}` a line, each a document; or a line of [`Chat`](Self::Chat), whose document is its messages, a
    /// line each.
    Jsonl,
    /// One `{"messages": [{"role": ..., "content": ...}, ...]}` a line, each a conversation: every answer of the
    /// assistant becomes a record, with all that was said before as its prompt (section 2.3 of the paper).
    Chat,
}

/// What becomes of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What the files are.
    pub format: Format,
    /// Tokens that a record may have; longer ones are left out.
    pub max_length: usize,
    /// Tokens that an answer has at least, its EOS included; shorter ones are padded with EOS. This is how a model
    /// learns to end an answer on a canvas of this length, without the padding of a whole batch.
    pub answer_length: usize,
}

/// What came of the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Documents or records written.
    pub items: u64,
    /// Records left out because they were too long.
    pub too_long: u64,
    /// Bytes of the input that were read.
    pub bytes: u64,
}

/// A prompt, empty in pre-training, what follows it, and the bytes of their text.
type Item = (Vec<u32>, Vec<u32>, usize);

/// Bytes of input that are tokenised together, on all threads.
const CHUNK: usize = 1 << 22;

#[derive(Deserialize)]
#[serde(try_from = "Line")]
struct Document {
    text: String,
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

/// Tokenises `files` into the new dataset `out`; `observe` sees the bytes read so far.
///
/// # Errors
/// A file cannot be read or is not of `format`, which names the line; the dataset cannot be written.
pub fn prepare(
    files: &[PathBuf],
    options: Options,
    tokenizer: &Tokenizer,
    out: &Path,
    mut observe: impl FnMut(u64),
) -> Result<Prepared, TrainError> {
    let Options { format, max_length, answer_length } = options;
    let kind = if format == Format::Chat { Kind::Sft } else { Kind::Pretrain };
    let eos = tokenizer.eos_id().ok_or_else(|| TrainError::file(out, "the tokenizer has no end-of-text token"))?;
    let mut writer = DatasetWriter::create(out, kind, tokenizer.vocab_size(), eos)?;
    let mut prepared = Prepared::default();
    for path in files {
        let mut units = Units::open(path, format)?;
        while let Some((chunk, bytes)) = units.chunk()? {
            let items: Vec<Vec<Item>> =
                chunk.par_iter().map(|unit| items(unit, format, tokenizer, path)).collect::<Result<_, _>>()?;
            for (prompt, mut answer, text_bytes) in items.into_iter().flatten() {
                if kind == Kind::Pretrain {
                    writer.part(&answer, text_bytes)?;
                    if format == Format::Jsonl {
                        writer.end()?;
                    }
                    prepared.items += u64::from(format == Format::Jsonl);
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
        if format == Format::Text {
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
/// A file cannot be read or is not of `format`, which names the line.
pub fn texts(files: &[PathBuf], format: Format) -> Result<Vec<String>, TrainError> {
    let mut texts = Vec::new();
    for path in files {
        let mut units = Units::open(path, format)?;
        while let Some((chunk, _)) = units.chunk()? {
            for unit in chunk {
                match format {
                    Format::Text => texts.push(unit.text),
                    Format::Jsonl | Format::Chat => texts.push(unit.parse::<Document>(Format::Jsonl, path)?.text),
                }
            }
        }
    }
    Ok(texts)
}

/// A paragraph of text with the empty line after it, or a line of JSON; with the number of its last line.
struct Unit {
    line: usize,
    text: String,
}

impl Unit {
    fn parse<T: DeserializeOwned>(&self, format: Format, path: &Path) -> Result<T, TrainError> {
        let expected = match format {
            Format::Chat => r#"{"messages": [{"role": "user", "content": "..."}, ...]}"#,
            _ => r#"{"text": "..."}"#,
        };
        let refuse = |e| TrainError::file(path, format!("line {}: {e}\nhint: each line is {expected}", self.line));
        serde_json::from_str(&self.text).map_err(refuse)
    }
}

/// The units of one file.
struct Units<'a> {
    path: &'a Path,
    format: Format,
    lines: BufReader<File>,
    number: usize,
}

impl<'a> Units<'a> {
    fn open(path: &'a Path, format: Format) -> Result<Self, TrainError> {
        let file = File::open(path).map_err(TrainError::read(path))?;
        Ok(Self { path, format, lines: BufReader::new(file), number: 0 })
    }

    /// The next units, and how many bytes they took; none at the end.
    fn chunk(&mut self) -> Result<Option<(Vec<Unit>, usize)>, TrainError> {
        let (mut units, mut bytes, mut text) = (Vec::new(), 0, String::new());
        loop {
            let before = text.len();
            let read = self.lines.read_line(&mut text).map_err(TrainError::read(self.path))?;
            self.number += 1;
            bytes += read;
            let blank = text[before..].trim().is_empty();
            if self.format == Format::Text && !blank {
                continue;
            }
            let kept = if self.format == Format::Text { !text.is_empty() } else { !blank };
            let text = std::mem::take(&mut text);
            units.extend(kept.then_some(Unit { line: self.number, text }));
            if read == 0 || bytes >= CHUNK {
                return Ok((bytes > 0).then_some((units, bytes)));
            }
        }
    }
}

fn items(unit: &Unit, format: Format, tokenizer: &Tokenizer, path: &Path) -> Result<Vec<Item>, TrainError> {
    let messages = match format {
        Format::Text => return Ok(vec![document(&unit.text, tokenizer)?]),
        Format::Jsonl => return Ok(vec![document(&unit.parse::<Document>(format, path)?.text, tokenizer)?]),
        Format::Chat => unit.parse::<Conversation>(format, path)?.messages,
    };
    let answers = messages.iter().enumerate().filter(|(_, message)| message.role == "assistant");
    let record = |(index, message): (usize, &Message)| {
        let prompt = tokenizer.encode_chat(&messages[..index])?;
        let mut answer = tokenizer.encode(message.content.trim())?;
        answer.extend(tokenizer.eot_id());
        let text_bytes = messages[..=index].iter().map(|message| message.content.len()).sum();
        Ok((prompt, answer, text_bytes))
    };
    answers.map(record).collect()
}

fn document(text: &str, tokenizer: &Tokenizer) -> Result<Item, TrainError> {
    Ok((Vec::new(), tokenizer.encode(text)?, text.len()))
}
