//! Files of tokens that [datatrove](https://github.com/huggingface/datatrove) has written.
//!
//! `NAME.ds` has the ids, `NAME.ds.index` the places where documents end, in u64, and `NAME.ds.metadata`, if it is
//! there, `TOKENIZER|BYTES OF AN ID` and the number of ids, a line each. All numbers are little-endian.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use llada_model::Tokenizer;
use rayon::prelude::*;

use super::Prepared;
use crate::{TrainError, data::DatasetWriter};

/// The number of ids that are read together.
const CHUNK: u64 = 1 << 20;

/// A file of tokens that is being read, document by document.
struct Documents<'a> {
    path: &'a Path,
    ids: BufReader<File>,
    index: PathBuf,
    ends: BufReader<File>,
    /// The number of documents that were not read yet.
    left: u64,
    /// The number of ids of the file.
    count: u64,
    /// The bytes of an id.
    width: usize,
    /// The place of the next id.
    at: u64,
}

/// Adds the documents of `path`, which `tokenizer` has made.
pub(super) fn add(
    path: &Path,
    tokenizer: &Tokenizer,
    writer: &mut DatasetWriter,
    prepared: &mut Prepared,
    observe: &mut impl FnMut(u64),
) -> Result<(), TrainError> {
    let vocab_size = tokenizer.vocab_size();
    let (beginning, eos) = (tokenizer.beginning()?, tokenizer.eos_id());
    let mut documents = Documents::open(path, vocab_size)?;
    loop {
        let start = documents.at;
        let mut chunk = Vec::new();
        while documents.left > 0 && documents.at - start < CHUNK {
            chunk.push((documents.at, documents.next()?));
        }
        if chunk.is_empty() {
            return documents.check_end();
        }
        let checked = |(start, ids): &(u64, Vec<u32>)| check(ids, *start, tokenizer, vocab_size);
        let text_bytes: Vec<usize> = chunk
            .par_iter()
            .map(checked)
            .collect::<Result<_, _>>()
            .map_err(|message| TrainError::file(path, message))?;
        for ((_, mut ids), text_bytes) in chunk.into_iter().zip(text_bytes) {
            // The writer ends documents itself.
            ids.pop_if(|last| Some(*last) == eos);
            if !ids.starts_with(&beginning) {
                writer.part(&beginning, 0)?;
            }
            writer.part(&ids, text_bytes)?;
            writer.end()?;
            prepared.items += 1;
        }
        prepared.bytes += (documents.at - start) * documents.width as u64;
        observe(prepared.bytes);
    }
}

/// The number of bytes of the text of a document, whose first id is at `start`.
fn check(ids: &[u32], start: u64, tokenizer: &Tokenizer, vocab_size: usize) -> Result<usize, String> {
    for (place, &id) in (start..).zip(ids) {
        if id as usize >= vocab_size {
            return Err(format!("id {place} is {id}, of {vocab_size} that the tokenizer has: is it the same one?"));
        }
        if tokenizer.mask_id() == Some(id) {
            return Err(format!("id {place} is {id}, the mask, which no text has"));
        }
    }
    tokenizer.decode(ids).map(|text| text.len()).map_err(|error| error.to_string())
}

impl<'a> Documents<'a> {
    fn open(path: &'a Path, vocab_size: usize) -> Result<Self, TrainError> {
        let beside = |ending: &str| {
            let mut name = OsString::from(path);
            name.push(ending);
            PathBuf::from(name)
        };
        let length = |path: &Path| fs::metadata(path).map(|found| found.len()).map_err(TrainError::read(path));
        let (index, metadata) = (beside(".index"), beside(".metadata"));
        let mut promised = None;
        // What it chooses where it is not told.
        let mut width = if vocab_size > 1 << 16 { 4 } else { 2 };
        if metadata.exists() {
            let text = fs::read_to_string(&metadata).map_err(TrainError::read(&metadata))?;
            let refuse = || TrainError::file(&metadata, "its lines are not TOKENIZER|BYTES and a number");
            let mut lines = text.lines();
            let (_, bytes) = lines.next().and_then(|line| line.rsplit_once('|')).ok_or_else(refuse)?;
            width = bytes.parse().ok().filter(|bytes| [2, 4].contains(bytes)).ok_or_else(refuse)?;
            promised = Some(lines.next().and_then(|line| line.parse::<u64>().ok()).ok_or_else(refuse)?);
        }
        let (bytes, count) = (length(path)?, length(path)? / width as u64);
        if bytes % width as u64 != 0 {
            return Err(TrainError::file(path, format!("{bytes} bytes are no ids of {width} bytes: is it cut off?")));
        }
        if let Some(promised) = promised.filter(|&promised| promised != count) {
            return Err(TrainError::file(path, format!("it has {count} ids, its metadata promise {promised}")));
        }
        let open = |path: &Path| File::open(path).map(BufReader::new).map_err(TrainError::read(path));
        let (ends, left) = (open(&index)?, length(&index)? / 8);
        Ok(Self { path, ids: open(path)?, index, ends, left, count, width, at: 0 })
    }

    /// The ids of the next document.
    fn next(&mut self) -> Result<Vec<u32>, TrainError> {
        let mut end = [0; 8];
        self.ends.read_exact(&mut end).map_err(TrainError::read(&self.index))?;
        let end = u64::from_le_bytes(end);
        if end < self.at || end > self.count {
            let message = format!("a document from {} to {end}, of {} ids", self.at, self.count);
            return Err(TrainError::file(&self.index, message));
        }
        let mut bytes = vec![0; (end - self.at) as usize * self.width];
        self.ids.read_exact(&mut bytes).map_err(TrainError::read(self.path))?;
        (self.at, self.left) = (end, self.left - 1);
        let id = |id: &[u8]| id.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
        Ok(bytes.chunks_exact(self.width).map(id).collect())
    }

    fn check_end(&self) -> Result<(), TrainError> {
        if self.at == self.count {
            return Ok(());
        }
        Err(TrainError::file(&self.index, format!("the last document ends at {} of {} ids", self.at, self.count)))
    }
}
