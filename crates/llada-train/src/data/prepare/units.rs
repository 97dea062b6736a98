//! Files taken apart: paragraphs of text, or lines of JSON.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use serde::de::DeserializeOwned;

use super::Format;
use crate::TrainError;

/// Bytes of input that are tokenised together, on all threads.
const CHUNK: usize = 1 << 22;

/// What some programs write at the beginning of a file to say that it is UTF-8; it is no part of the text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A paragraph of text with the empty line after it, or a line of JSON; with the number of its last line.
pub(super) struct Unit {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Unit {
    pub(super) fn parse<T: DeserializeOwned>(&self, format: Format, path: &Path) -> Result<T, TrainError> {
        let expected = match format {
            Format::Chat => r#"{"messages": [{"role": "user", "content": "..."}, ...]}"#,
            _ => r#"{"text": "..."}"#,
        };
        let refuse = |e| self.refuse(path, format!("{e}\nhint: each line is {expected}"));
        serde_json::from_str(&self.text).map_err(refuse)
    }

    /// The error that this unit of `path` is at fault.
    pub(super) fn refuse(&self, path: &Path, message: impl std::fmt::Display) -> TrainError {
        TrainError::file(path, format!("line {}: {message}", self.line))
    }
}

/// The units of one file.
pub(super) struct Units<'a> {
    path: &'a Path,
    format: Format,
    lines: BufReader<File>,
    number: usize,
}

impl<'a> Units<'a> {
    pub(super) fn open(path: &'a Path, format: Format) -> Result<Self, TrainError> {
        let mut lines = BufReader::new(File::open(path).map_err(TrainError::read(path))?);
        if lines.fill_buf().map_err(TrainError::read(path))?.starts_with(BYTE_ORDER_MARK) {
            lines.consume(BYTE_ORDER_MARK.len());
        }
        Ok(Self { path, format, lines, number: 0 })
    }

    /// The next units, and how many bytes they took; none at the end.
    pub(super) fn chunk(&mut self) -> Result<Option<(Vec<Unit>, usize)>, TrainError> {
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
