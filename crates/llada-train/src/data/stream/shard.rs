//! A file of records, in blocks that are read at once: stretches of lines or of a list, or row groups of parquet.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    format::{COLUMNS, Format},
    list::Elements,
};
use crate::{
    TrainError,
    byte_order_mark::MARK,
    data::parquet::{self, Footer},
};

/// The number of bytes after which a block of lines or of a list ends.
const BLOCK: u64 = 1 << 20;

/// The most bytes of a record.
const LONGEST: u64 = 1 << 26;

/// A file of records.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    pub(super) format: Format,
    pub(super) blocks: Vec<Block>,
}

/// Records of a file that are read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) rows: usize,
    pub(super) bytes: u64,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// From a byte on, and the number of the first line.
    Lines { start: u64, line: u64 },
    /// From a byte on, and the number of the first record.
    List { start: u64, number: u64 },
    /// The index of a row group, and the number of its first row.
    RowGroup { index: usize, row: u64 },
}

/// A record as it stands in its file.
#[derive(Debug, Clone)]
pub(super) struct RawRecord {
    /// The number of its line or row, from 1.
    pub(super) number: u64,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Json(Vec<u8>),
    Value(Value),
}

impl RawRecord {
    /// The record.
    ///
    /// # Errors
    /// It is no JSON.
    pub(super) fn value(&self) -> Result<Value, serde_json::Error> {
        match &self.content {
            Content::Json(line) => serde_json::from_slice(line),
            Content::Value(value) => Ok(value.clone()),
        }
    }
}

impl Shard {
    /// Finds the blocks of `path` and adds what identifies its content to `digest`: of lines all, of parquet the
    /// footer. The format is `format`, or that of the first record.
    ///
    /// # Errors
    /// The file cannot be read, is cut off, or is of no known format.
    pub(super) fn open(path: &Path, format: Option<Format>, digest: &mut Sha256) -> Result<Self, TrainError> {
        let mut beginning = Vec::new();
        let file = File::open(path).map_err(TrainError::read(path))?;
        file.take(parquet::MAGIC.len() as u64).read_to_end(&mut beginning).map_err(TrainError::read(path))?;
        let (columns, blocks) =
            if beginning == parquet::MAGIC { row_groups(path, digest)? } else { json(path, digest)? };
        let of_columns = || match Format::of(columns.iter().map(String::as_str)) {
            // A file without records is of any format.
            None if blocks.is_empty() => Ok(Format::Messages),
            None => Err(TrainError::UnknownFormat { path: path.to_owned(), columns: columns.join(", ") }),
            Some(format) => Ok(format),
        };
        let format = format.map_or_else(of_columns, Ok)?;
        Ok(Self { path: path.to_owned(), format, blocks })
    }

    /// Reads the records of a block.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is no longer what was opened.
    pub(super) fn read(&self, block: &Block) -> Result<Vec<RawRecord>, TrainError> {
        let records = read_block(&self.path, block)?;
        if records.len() != block.rows {
            return Err(TrainError::file(&self.path, "it has changed since it was opened"));
        }
        Ok(records)
    }
}

/// The columns and row groups of a parquet file.
fn row_groups(path: &Path, digest: &mut Sha256) -> Result<(Vec<String>, Vec<Block>), TrainError> {
    let Footer { columns, groups } = parquet::footer(path)?;
    let mut file = File::open(path).map_err(TrainError::read(path))?;
    let mut last = [0; 8];
    file.seek(SeekFrom::End(-8)).and_then(|_| file.read_exact(&mut last)).map_err(TrainError::read(path))?;
    let length = u32::from_le_bytes([last[0], last[1], last[2], last[3]]);
    let mut footer = vec![0; length as usize];
    file.seek(SeekFrom::End(-8 - i64::from(length)))
        .and_then(|_| file.read_exact(&mut footer))
        .map_err(TrainError::read(path))?;
    digest.update(&footer);
    let (mut blocks, mut row) = (Vec::with_capacity(groups.len()), 1);
    for (index, group) in groups.into_iter().enumerate().filter(|(_, group)| group.rows > 0) {
        blocks.push(Block { rows: group.rows, bytes: group.bytes, place: Place::RowGroup { index, row } });
        row += group.rows as u64;
    }
    Ok((columns, blocks))
}

/// The blocks of a file of JSON, and the columns of its first record. First and last record have to be whole.
fn json(path: &Path, digest: &mut Sha256) -> Result<(Vec<String>, Vec<Block>), TrainError> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(TrainError::read(path))?);
    let bytes = file.fill_buf().map_err(TrainError::read(path))?;
    let mark = if bytes.starts_with(MARK) { MARK.len() } else { 0 };
    let is_list = bytes[mark..].trim_ascii_start().starts_with(b"[");
    file.consume(mark);
    let blocks = if is_list { list(path, file, mark as u64, digest)? } else { lines(path, file, mark as u64, digest)? };
    let mut columns = Vec::new();
    for (block, is_first) in [(blocks.first(), true), (blocks.last(), false)] {
        let Some(block) = block else { continue };
        let records = read_block(path, block)?;
        let Some(record) = (if is_first { records.first() } else { records.last() }) else { continue };
        let refuse = |message: String| match block.place {
            Place::Lines { .. } => {
                let (line, expected) = (record.number as usize, Some("a record as JSON, {...}"));
                TrainError::Line { path: path.to_owned(), line, message, expected }
            }
            _ => TrainError::file(path, format!("record {}: {message}", record.number)),
        };
        let Value::Object(found) = record.value().map_err(|error| refuse(error.to_string()))? else {
            return Err(refuse("it is no record".to_owned()));
        };
        if is_first {
            columns = found.into_iter().map(|(column, _)| column).collect();
        }
    }
    Ok((columns, blocks))
}

/// The records of a block.
fn read_block(path: &Path, block: &Block) -> Result<Vec<RawRecord>, TrainError> {
    match block.place {
        Place::Lines { start, line } => {
            let content = read_bytes(path, start, block.bytes)?;
            let lines = (line..).zip(content.split(|&byte| byte == b'\n'));
            let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
            Ok(lines.map(|(number, line)| RawRecord { number, content: Content::Json(line.to_vec()) }).collect())
        }
        Place::List { start, number } => {
            let content = read_bytes(path, start, block.bytes)?;
            let (mut walk, mut records) = (Elements::inside(), Vec::new());
            for &byte in content.iter().chain(b",") {
                let Some(range) = walk.push(byte).map_err(|why| TrainError::file(path, why))? else { continue };
                let json = content[range.start as usize..range.end as usize].to_vec();
                records.push(RawRecord { number: number + records.len() as u64, content: Content::Json(json) });
            }
            Ok(records)
        }
        Place::RowGroup { index, row } => {
            let record = |(number, value)| RawRecord { number, content: Content::Value(value) };
            Ok((row..).zip(parquet::records(path, index, &COLUMNS)?).map(record).collect())
        }
    }
}

fn read_bytes(path: &Path, start: u64, bytes: u64) -> Result<Vec<u8>, TrainError> {
    let mut file = File::open(path).map_err(TrainError::read(path))?;
    let mut content = vec![0; bytes as usize];
    file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut content)).map_err(TrainError::read(path))?;
    Ok(content)
}

/// A walk through the lines of a file.
struct Lines {
    blocks: Vec<Block>,
    /// Where the block begins, and its lines without blank ones.
    start: u64,
    first_line: u64,
    rows: usize,
    /// Where the line begins, its number, and whether only blanks are in it.
    line_start: u64,
    line: u64,
    is_blank: bool,
}

impl Lines {
    /// Ends the line before byte `end`, and the block if it is long enough or `is_last`.
    fn end_line(&mut self, end: u64, is_last: bool) {
        self.rows += usize::from(!self.is_blank);
        self.line += 1;
        (self.line_start, self.is_blank) = (end, true);
        let bytes = end - self.start;
        if bytes < BLOCK && !is_last {
            return;
        }
        if self.rows > 0 {
            let place = Place::Lines { start: self.start, line: self.first_line };
            self.blocks.push(Block { rows: self.rows, bytes, place });
        }
        (self.start, self.first_line, self.rows) = (end, self.line, 0);
    }
}

/// The blocks of a file of lines, of which `file` is what follows byte `at`.
fn lines(path: &Path, mut file: BufReader<File>, mut at: u64, digest: &mut Sha256) -> Result<Vec<Block>, TrainError> {
    let mut lines =
        Lines { blocks: Vec::new(), start: at, first_line: 1, rows: 0, line_start: at, line: 1, is_blank: true };
    loop {
        let bytes = file.fill_buf().map_err(TrainError::read(path))?;
        if bytes.is_empty() {
            break;
        }
        digest.update(bytes);
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            at += part.len() as u64;
            lines.is_blank &= part.trim_ascii().is_empty();
            if part.ends_with(b"\n") {
                lines.end_line(at, false);
            }
            if at - lines.line_start > LONGEST {
                return Err(TrainError::file(path, format!("line {} has more than {LONGEST} bytes", lines.line)));
            }
        }
        let read = bytes.len();
        file.consume(read);
    }
    lines.end_line(at, true);
    Ok(lines.blocks)
}

/// The blocks of a file that is a list, of which `file` is what follows byte `begin`.
fn list(path: &Path, mut file: BufReader<File>, begin: u64, digest: &mut Sha256) -> Result<Vec<Block>, TrainError> {
    let (mut walk, mut blocks, mut number) = (Elements::default(), Vec::<Block>::new(), 1);
    loop {
        let bytes = file.fill_buf().map_err(TrainError::read(path))?;
        if bytes.is_empty() {
            break;
        }
        digest.update(bytes);
        for &byte in bytes {
            let Some(range) = walk.push(byte).map_err(|why| TrainError::file(path, why))? else { continue };
            let (start, end) = (begin + range.start, begin + range.end);
            match blocks.last_mut().filter(|block| block.bytes < BLOCK) {
                Some(Block { rows, bytes, place: Place::List { start, .. } }) => {
                    *rows += 1;
                    *bytes = end - *start;
                }
                _ => blocks.push(Block { rows: 1, bytes: end - start, place: Place::List { start, number } }),
            }
            number += 1;
        }
        if walk.length() > LONGEST {
            return Err(TrainError::file(path, format!("record {number} has more than {LONGEST} bytes")));
        }
        let read = bytes.len();
        file.consume(read);
    }
    if walk.is_over() { Ok(blocks) } else { Err(TrainError::file(path, "its list is cut off")) }
}
