//! Conversations straight from files: tokenised while a run lasts, in a seeded order, without a preparation.
//!
//! ```text
//! files ─► blocks ─► the order of an epoch ─► windows in memory ─► records ─► batches
//! ```
//!
//! What a stream remembers from step to step is its [`Cursor`], which a checkpoint keeps.

mod encode;
mod format;
mod list;
mod order;
mod shard;
mod tally;

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use llada_core::rng::{Domain, Noise};
use llada_model::{ModelConfig, ModelError, Tokenizer};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::{
    format::Format,
    tally::{Place, Tally},
};

use self::{
    encode::Encoder,
    order::{EpochOrder, Row, Size},
    shard::{Block, RawRecord, Shard},
    tally::Reason,
};
use super::{Record, batch_order};
use crate::{TrainError, checkpoint::hexadecimal, config::RunConfig, loss::Observe};

/// Conversations of some files, in batches.
#[derive(Debug)]
pub(crate) struct Stream {
    data: PathBuf,
    shards: Vec<Shard>,
    /// The blocks of all shards.
    blocks: Vec<Located>,
    rows: u64,
    digest: String,
    encoder: Encoder,
    noise: Noise,
    batch_size: usize,
    is_grouped: bool,
    /// Where `batches` began.
    cursor: Cursor,
    /// Where they end.
    end: Cursor,
    batches: VecDeque<Vec<Record>>,
    order: EpochOrder,
    window: Option<Window>,
}

/// A block, its shard, and the number of rows of all data before it.
#[derive(Debug)]
struct Located {
    shard: usize,
    block: Block,
    first_row: u64,
}

/// The records of a window of an epoch, in memory.
#[derive(Debug)]
struct Window {
    epoch: u64,
    index: usize,
    start: u64,
    rows: Vec<Row>,
    /// The records of each block of the window, by the block's index.
    records: BTreeMap<usize, Vec<RawRecord>>,
}

/// A place in the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cursor {
    epoch: u64,
    /// The number of rows of the epoch that were drawn.
    position: u64,
    /// The number of batches that were taken of those that begin here.
    taken: usize,
    /// The number of rows left out since the last record.
    barren: u64,
    tally: Tally,
}

impl Stream {
    /// Opens the conversations in `files`, which are those of `data`, in the order that `noise` draws.
    ///
    /// # Errors
    /// A file cannot be read, is cut off or of no known format; the tokenizer has no chat template or end of text, or ids
    /// that the model has not; there are no records.
    pub(crate) fn open(
        data: &Path,
        files: &[PathBuf],
        config: &RunConfig,
        model: &ModelConfig,
        tokenizer: Tokenizer,
        noise: Noise,
    ) -> Result<Self, TrainError> {
        if let Some(problem) = tokenizer.chat_problem() {
            return Err(ModelError::NoChat { message: problem.to_owned() }.into());
        }
        if tokenizer.vocab_size() > model.vocab_size {
            let hint = format!("the model's vocab_size is {}: give the model's own tokenizer", model.vocab_size);
            return Err(TrainError::config("tokenizer", format!("of {} ids", tokenizer.vocab_size()), hint));
        }
        let longest = model.max_sequence_length;
        let max_length = config.sft.max_length.unwrap_or(longest);
        if max_length > longest {
            let hint = format!("the model's max_sequence_length is {longest}");
            return Err(TrainError::config("sft.max_length", max_length, hint));
        }
        let mut digest = Sha256::new();
        let (mut shards, mut blocks, mut rows) = (Vec::new(), Vec::new(), 0);
        for (index, path) in files.iter().enumerate() {
            let mut shard = Shard::open(path, config.sft.format, &mut digest)?;
            for block in std::mem::take(&mut shard.blocks) {
                let first_row = rows;
                rows += block.rows as u64;
                blocks.push(Located { shard: index, block, first_row });
            }
            shards.push(shard);
        }
        if rows == 0 {
            return Err(TrainError::file(data, "it has no records"));
        }
        let mut stream = Self {
            data: data.to_owned(),
            shards,
            order: EpochOrder::new(&[], noise, 0),
            blocks,
            rows,
            digest: hexadecimal(&digest.finalize()),
            encoder: Encoder { tokenizer: tokenizer.with_masks_as_text(), sft: config.sft.clone(), max_length, noise },
            noise,
            batch_size: config.batch_size,
            is_grouped: config.group_by_length,
            cursor: Cursor::default(),
            end: Cursor::default(),
            batches: VecDeque::new(),
            window: None,
        };
        stream.order = stream.order_of(0);
        Ok(stream)
    }

    /// The SHA-256 that tells data apart.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// What the first epoch has shown so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.end.tally
    }

    /// The number of rows, those included that are left out.
    pub(crate) fn count(&self) -> u64 {
        self.rows
    }

    /// The next `count` records; if they are grouped by length, always as many as a batch has.
    ///
    /// # Errors
    /// A file cannot be read, or no record is left.
    pub(crate) fn batch(&mut self, count: usize) -> Result<Vec<Record>, TrainError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        if self.batches.is_empty() {
            self.cursor = std::mem::take(&mut self.end);
            self.fill(count)?;
        }
        self.cursor.taken += 1;
        Ok(self.batches.pop_front().unwrap_or_default())
    }

    /// Writes the cursor to the file `path` of a checkpoint.
    pub(crate) fn save(&self, path: &Path) -> Result<(), TrainError> {
        let cursor = if self.batches.is_empty() { &self.end } else { &self.cursor };
        let text = serde_json::to_string_pretty(cursor).map_err(|e| TrainError::file(path, e))?;
        fs::write(path, text + "\n").map_err(TrainError::write(path))
    }

    /// Goes on where [`save`](Self::save) was called.
    pub(crate) fn restore(&mut self, path: &Path) -> Result<(), TrainError> {
        let text = fs::read(path).map_err(TrainError::read(path))?;
        self.cursor = serde_json::from_slice(&text).map_err(|e| TrainError::file(path, e))?;
        self.end = self.cursor.clone();
        self.batches.clear();
        if self.cursor.taken > 0 {
            self.fill(self.batch_size)?;
            self.cursor.taken = self.cursor.taken.min(self.batches.len());
            self.batches.drain(..self.cursor.taken);
        }
        Ok(())
    }

    /// Reads all of the data once and counts; `observe` hears how many rows of how many.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn survey(&self, observe: &mut Observe<'_>) -> Result<ControlFlow<(), Tally>, TrainError> {
        let mut tally = Tally::default();
        for Located { shard, block, first_row } in &self.blocks {
            if observe(*first_row, self.rows).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let shard = &self.shards[*shard];
            let records = shard.read(block)?;
            let results: Vec<Result<Record, Reason>> = (0..records.len())
                .into_par_iter()
                .map(|row| self.encoder.encode(&records[row], shard.format, first_row + row as u64, 0))
                .collect();
            for (record, result) in records.iter().zip(results) {
                tally.count(result.err(), &shard.path, record.number);
            }
        }
        Ok(ControlFlow::Continue(tally))
    }

    /// The first `count` records, in the order of the files, each with the number of bytes of what is said in it; and
    /// what was read for them and left out.
    ///
    /// # Errors
    /// A file cannot be read, or no record can be learned from.
    pub(crate) fn first(&self, count: usize) -> Result<(Vec<(Record, usize)>, Tally), TrainError> {
        let (mut found, mut tally) = (Vec::with_capacity(count), Tally::default());
        for Located { shard, block, first_row } in &self.blocks {
            let shard = &self.shards[*shard];
            for (row, raw) in (*first_row..).zip(shard.read(block)?) {
                if found.len() == count {
                    return Ok((found, tally));
                }
                let encoded = self.encoder.encode(&raw, shard.format, row, 0);
                let text_bytes = self.encoder.text_bytes(&raw, shard.format);
                let (record, reason) = match encoded {
                    Ok(record) => (Some((record, text_bytes)), None),
                    Err(reason) => (None, Some(reason)),
                };
                tally.count(reason, &shard.path, raw.number);
                found.extend(record);
            }
        }
        if found.is_empty() { Err(self.nothing(&tally)) } else { Ok((found, tally)) }
    }

    /// The error that no record is left.
    fn nothing(&self, tally: &Tally) -> TrainError {
        TrainError::file(&self.data, format!("no record can be learned from: {}", tally.reasons().join("; ")))
    }

    fn order_of(&self, epoch: u64) -> EpochOrder {
        let size = |located: &Located| Size { rows: located.block.rows, bytes: located.block.bytes };
        EpochOrder::new(&self.blocks.iter().map(size).collect::<Vec<_>>(), self.noise, epoch)
    }

    /// Reads the batches of `count` records that begin at the cursor: one, or if they are grouped by length, so many
    /// that a batch's records can be of about one length, but not more than an epoch has.
    fn fill(&mut self, count: usize) -> Result<(), TrainError> {
        let of_epoch = (self.rows / count as u64).max(1);
        let batches = if self.is_grouped { of_epoch.min(batch_order::WINDOW as u64) as usize } else { 1 };
        self.end = Cursor { taken: 0, ..self.cursor.clone() };
        let mut records = Vec::new();
        while records.len() < batches * count {
            let missing = batches * count - records.len();
            records.extend(self.draw(missing)?);
        }
        if self.is_grouped {
            records.sort_by_key(|record| record.padded_length(&self.encoder.sft));
        }
        self.batches = records.chunks(count).map(<[Record]>::to_vec).collect();
        if self.is_grouped {
            let noise = self.noise.domain(Domain::Shuffle);
            let mut stream = noise.stream(self.cursor.epoch, 3, self.cursor.position as u32);
            stream.shuffle(self.batches.make_contiguous());
        }
        Ok(())
    }

    /// Draws at most `count` rows of one window, from the end of the batches on, and returns their records.
    fn draw(&mut self, count: usize) -> Result<Vec<Record>, TrainError> {
        if self.end.position >= self.rows {
            self.end = Cursor { epoch: self.end.epoch.saturating_add(1), position: 0, ..std::mem::take(&mut self.end) };
        }
        self.load_window()?;
        let Some(window) = &self.window else { return Ok(Vec::new()) };
        let first = (self.end.position - window.start) as usize;
        let drawn = &window.rows[first..window.rows.len().min(first + count)];
        let results: Vec<(&Path, u64, Result<Record, Reason>)> = drawn
            .par_iter()
            .filter_map(|&(block, row)| {
                let Located { shard, first_row, .. } = &self.blocks[block];
                let shard = &self.shards[*shard];
                let record = window.records.get(&block)?.get(row)?;
                let encoded = self.encoder.encode(record, shard.format, first_row + row as u64, window.epoch);
                Some((shard.path.as_path(), record.number, encoded))
            })
            .collect();
        self.end.position += drawn.len() as u64;
        let mut found = Vec::with_capacity(results.len());
        for (path, number, result) in results {
            let (record, reason) = match result {
                Ok(record) => (Some(record), None),
                Err(reason) => (None, Some(reason)),
            };
            self.end.barren = if record.is_some() { 0 } else { self.end.barren + 1 };
            found.extend(record);
            if window.epoch == 0 {
                self.end.tally.count(reason, path, number);
            }
        }
        // A whole epoch is among so many rows, wherever they begin.
        if self.end.barren >= self.rows.saturating_mul(2) {
            return Err(self.nothing(&self.end.tally));
        }
        Ok(found)
    }

    /// Reads the window that the end of the batches is in, unless it is in memory.
    fn load_window(&mut self) -> Result<(), TrainError> {
        let epoch = self.end.epoch;
        if self.order.epoch != epoch {
            self.order = self.order_of(epoch);
        }
        let (index, start) = self.order.window(self.end.position);
        if self.window.as_ref().is_some_and(|window| (window.epoch, window.index) == (epoch, index)) {
            return Ok(());
        }
        // Two windows would be twice the memory.
        self.window = None;
        let records = self.order.blocks(index).into_par_iter().map(|block| {
            let located = &self.blocks[block];
            Ok((block, self.shards[located.shard].read(&located.block)?))
        });
        let records = records.collect::<Result<_, TrainError>>()?;
        self.window = Some(Window { epoch, index, start, rows: self.order.rows(index), records });
        Ok(())
    }
}
