//! The units of a file: paragraphs of text, lines of JSON, or rows of parquet.

use std::{
    fmt::Display,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use serde::de::DeserializeOwned;

use crate::{TrainError, byte_order_mark::MARK, data::parquet};

/// The number of bytes of input that are tokenised together, on all threads.
const CHUNK: usize = 1 << 22;

/// The columns of parquet that are read.
const COLUMNS: [&str; 2] = ["text", "messages"];

/// What the units of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum UnitKind {
    /// A paragraph of text. A file of them is a document.
    Paragraph,
    /// A line of JSON, or a row of parquet, with a document.
    Document,
    /// The same with a conversation.
    Conversation,
}

/// A paragraph of text with the empty line after it, or a line of JSON.
pub(in crate::data) struct Unit {
    /// The number of its last line, or of its row, from 1.
    pub(in crate::data) line: usize,
    pub(in crate::data) text: String,
}

impl Unit {
    pub(super) fn parse<T: DeserializeOwned>(&self, kind: UnitKind, path: &Path) -> Result<T, TrainError> {
        let expected = match kind {
            UnitKind::Conversation => r#"{"messages": [{"role": "user", "content": "..."}, ...]}"#,
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
    kind: UnitKind,
    place: Place,
}

/// What was read of a file, and what follows.
enum Place {
    Lines {
        lines: BufReader<File>,
        /// The number of lines so far.
        number: usize,
    },
    RowGroups {
        /// The numbers of their rows.
        rows: Vec<usize>,
        /// The index of the next.
        next: usize,
        /// The number of bytes of the file.
        bytes: usize,
    },
}

impl<'a> Units<'a> {
    pub(in crate::data) fn open(path: &'a Path, kind: UnitKind) -> Result<Self, TrainError> {
        let file = File::open(path).map_err(TrainError::read(path))?;
        let bytes = file.metadata().map_err(TrainError::read(path))?.len() as usize;
        let mut lines = BufReader::new(file);
        let beginning = lines.fill_buf().map_err(TrainError::read(path))?;
        if beginning.starts_with(parquet::MAGIC) {
            if kind == UnitKind::Paragraph {
                let hint = format!("{} is parquet: choose the format of its rows", path.display());
                return Err(TrainError::config("format", "text", hint));
            }
            let rows = parquet::footer(path)?.groups.iter().map(|group| group.rows).collect();
            return Ok(Self { path, kind, place: Place::RowGroups { rows, next: 0, bytes } });
        }
        if beginning.starts_with(MARK) {
            lines.consume(MARK.len());
        }
        Ok(Self { path, kind, place: Place::Lines { lines, number: 0 } })
    }

    /// The next units and the number of bytes that they took; none at the end.
    pub(in crate::data) fn chunk(&mut self) -> Result<Option<(Vec<Unit>, usize)>, TrainError> {
        match &mut self.place {
            Place::Lines { lines, number } => Self::read_lines(self.path, self.kind, lines, number),
            Place::RowGroups { next, rows, .. } if *next == rows.len() => Ok(None),
            Place::RowGroups { rows, next, bytes } => {
                let before: usize = rows[..*next].iter().sum();
                let records = parquet::records(self.path, *next, &COLUMNS)?.into_iter();
                let unit = |(line, record): (usize, serde_json::Value)| Unit { line, text: record.to_string() };
                // Of the file, which is smaller than its records: all groups together take all of it.
                let taken = *bytes * (*next + 1) / rows.len() - *bytes * *next / rows.len();
                *next += 1;
                Ok(Some(((before + 1..).zip(records).map(unit).collect(), taken)))
            }
        }
    }

    fn read_lines(
        path: &Path,
        kind: UnitKind,
        lines: &mut BufReader<File>,
        number: &mut usize,
    ) -> Result<Option<(Vec<Unit>, usize)>, TrainError> {
        let (mut units, mut bytes, mut text) = (Vec::new(), 0, String::new());
        loop {
            let before = text.len();
            let read = lines.read_line(&mut text).map_err(TrainError::read(path))?;
            *number += 1;
            bytes += read;
            let blank = text[before..].trim().is_empty();
            if kind == UnitKind::Paragraph && !blank {
                continue;
            }
            let kept = if kind == UnitKind::Paragraph { !text.is_empty() } else { !blank };
            let text = std::mem::take(&mut text);
            units.extend(kept.then_some(Unit { line: *number, text }));
            if read == 0 || bytes >= CHUNK {
                return Ok((bytes > 0).then_some((units, bytes)));
            }
        }
    }
}
