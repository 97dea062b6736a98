//! The units of a file: paragraphs of text, or lines of JSON.

use std::{
    fmt::Display,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use serde::de::DeserializeOwned;

use super::Format;
use crate::{TrainError, byte_order_mark::MARK};

/// The number of bytes of input that are tokenised together, on all threads.
const CHUNK: usize = 1 << 22;

/// A paragraph of text with the empty line after it, or a line of JSON.
pub(in crate::data) struct Unit {
    /// The number of its last line, from 1.
    pub(in crate::data) line: usize,
    pub(in crate::data) text: String,
}

impl Unit {
    pub(super) fn parse<T: DeserializeOwned>(&self, format: Format, path: &Path) -> Result<T, TrainError> {
        let expected = match format {
            Format::Chat => r#"{"messages": [{"role": "user", "content": "..."}, ...]}"#,
            _ => r#"{"text": "..."}"#,
        };
        self.parse_as(path, expected)
    }

    /// The line as a value; `expected` says in an error what lines look like.
    pub(in crate::data) fn parse_as<T: DeserializeOwned>(
        &self,
        path: &Path,
        expected: &'static str,
    ) -> Result<T, TrainError> {
        serde_json::from_str(&self.text).map_err(|error| self.error(path, error, Some(expected)))
    }

    /// The error that this unit of `path` is at fault.
    pub(in crate::data) fn refuse(&self, path: &Path, message: impl Display) -> TrainError {
        self.error(path, message, None)
    }

    fn error(&self, path: &Path, message: impl Display, expected: Option<&'static str>) -> TrainError {
        TrainError::Line { path: path.to_owned(), line: self.line, message: message.to_string(), expected }
    }
}

/// The units of one file.
pub(in crate::data) struct Units<'a> {
    path: &'a Path,
    format: Format,
    lines: BufReader<File>,
    number: usize,
}

impl<'a> Units<'a> {
    pub(in crate::data) fn open(path: &'a Path, format: Format) -> Result<Self, TrainError> {
        let mut lines = BufReader::new(File::open(path).map_err(TrainError::read(path))?);
        if lines.fill_buf().map_err(TrainError::read(path))?.starts_with(MARK) {
            lines.consume(MARK.len());
        }
        Ok(Self { path, format, lines, number: 0 })
    }

    /// The next units and the number of bytes that they took; none at the end.
    pub(in crate::data) fn chunk(&mut self) -> Result<Option<(Vec<Unit>, usize)>, TrainError> {
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
