//! A dataset on disk: a folder of token shards, memory-mapped, each with a SHA-256 that is checked when it is opened.
//!
//! `dataset.json` names the shards. A shard is a safetensors file with `tokens`, u32, and for fine-tuning `records`,
//! u32 of shape (records, 2): the lengths of each record's prompt and answer, whose tokens follow one another.

use std::{
    fs::{self, File},
    ops::Range,
    path::{Path, PathBuf},
};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{Record, rows};
use crate::{TrainError, byte_order_mark, checkpoint::sha256, config::SftConfig, objective::Rows};

/// The kind of training that a dataset is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatasetKind {
    /// Pre-training: documents end to end, each ended by EOS.
    Pretrain,
    /// Supervised fine-tuning: prompts and answers, each answer ended by EOS.
    Sft,
}

/// The content of `dataset.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) kind: DatasetKind,
    /// All ids are below this.
    pub(super) vocab_size: usize,
    pub(super) eos_token_id: u32,
    /// The number of tokens of all shards.
    pub(super) tokens: u64,
    /// The number of bytes of the text that the tokens were made of.
    pub(super) text_bytes: u64,
    pub(super) shards: Vec<ShardEntry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShardEntry {
    pub(super) file: String,
    pub(super) sha256: String,
}

/// A dataset whose shards are open.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    manifest: Manifest,
    digest: String,
    shards: Vec<Mmap>,
    /// Where the tokens lie in the bytes of each shard.
    tokens: Vec<Range<usize>>,
    records: Vec<Located>,
}

/// Where a record of fine-tuning lies.
#[derive(Debug, Clone, Copy)]
struct Located {
    shard: usize,
    /// The index of its first token in the shard.
    start: usize,
    prompt_length: usize,
    /// The number of its tokens, prompt and answer.
    length: usize,
}

impl Dataset {
    /// Opens the dataset in `folder` and checks every shard against its digest.
    ///
    /// # Errors
    /// A file is missing or damaged; the error names it.
    pub fn open(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join("dataset.json");
        let text = fs::read(&path).map_err(TrainError::read(&path))?;
        let manifest: Manifest =
            serde_json::from_slice(byte_order_mark::skip(&text)).map_err(|e| TrainError::file(&path, e))?;
        let digest = sha256(&text);
        let mut dataset =
            Self { folder: folder.to_owned(), manifest, digest, shards: vec![], tokens: vec![], records: vec![] };
        for entry in dataset.manifest.shards.clone() {
            dataset.add(&entry)?;
        }
        let found = dataset.tokens.iter().map(|bytes| bytes.len() as u64 / 4).sum::<u64>();
        if found != dataset.manifest.tokens {
            let message = format!("it promises {} tokens, the shards have {found}", dataset.manifest.tokens);
            return Err(TrainError::file(&path, message));
        }
        Ok(dataset)
    }

    fn add(&mut self, entry: &ShardEntry) -> Result<(), TrainError> {
        let path = self.folder.join(&entry.file);
        let file = File::open(&path).map_err(TrainError::read(&path))?;
        // SAFETY: the map is only read; shards take their names when they are complete and are never written again.
        let map = unsafe { Mmap::map(&file) }.map_err(TrainError::read(&path))?;
        if sha256(&map) != entry.sha256 {
            return Err(TrainError::DamagedShard { path });
        }
        let shard = self.shards.len();
        let tensors = SafeTensors::deserialize(&map).map_err(|e| TrainError::file(&path, e))?;
        let tokens = integers(&tensors, "tokens").map_err(|message| TrainError::file(&path, message))?;
        let offset = tokens.as_ptr() as usize - map.as_ptr() as usize;
        self.tokens.push(offset..offset + tokens.len());
        if self.manifest.kind == DatasetKind::Sft {
            let lengths = integers(&tensors, "records").map_err(|message| TrainError::file(&path, message))?;
            let mut start = 0;
            for pair in words(lengths).collect::<Vec<_>>().chunks_exact(2) {
                let (prompt_length, answer_length) = (pair[0] as usize, pair[1] as usize);
                let length = prompt_length + answer_length;
                self.records.push(Located { shard, start, prompt_length, length });
                start += length;
            }
            if start * 4 != tokens.len() {
                return Err(TrainError::file(&path, "its records do not add up to its tokens"));
            }
        }
        self.shards.push(map);
        Ok(())
    }

    /// The kind of training that it is for.
    pub fn kind(&self) -> DatasetKind {
        self.manifest.kind
    }

    /// The number of ids of its vocabulary, which are below this.
    pub fn vocab_size(&self) -> usize {
        self.manifest.vocab_size
    }

    /// The id that ends documents and answers.
    pub(super) fn eos_token_id(&self) -> u32 {
        self.manifest.eos_token_id
    }

    /// The number of tokens of all shards.
    pub fn tokens(&self) -> u64 {
        self.manifest.tokens
    }

    /// The mean number of bytes of text that a token stands for.
    pub fn bytes_per_token(&self) -> f64 {
        self.manifest.text_bytes as f64 / (self.manifest.tokens as f64).max(1.0)
    }

    /// The SHA-256 of `dataset.json`, which holds those of all shards: it tells datasets apart.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The number of tokens of every record of fine-tuning, prompt and answer; empty for pre-training.
    pub fn record_lengths(&self) -> Vec<usize> {
        self.records.iter().map(|record| record.length).collect()
    }

    /// The number of rows of `row_length` tokens; for fine-tuning, of records.
    pub fn rows(&self, row_length: usize) -> usize {
        match self.kind() {
            DatasetKind::Sft => self.records.len(),
            DatasetKind::Pretrain => self.tokens.iter().map(|bytes| bytes.len() / 4 / row_length.max(1)).sum(),
        }
    }

    /// The rows of these indices, each below [`rows`](Self::rows). Records are padded with EOS to the longest of them.
    pub fn read(&self, indices: &[usize], row_length: usize) -> Rows {
        match self.kind() {
            DatasetKind::Pretrain => {
                let ids = indices.iter().flat_map(|&index| self.stretch(index, row_length)).collect();
                Rows { ids, row_length, answers: None }
            }
            DatasetKind::Sft => {
                let records: Vec<Record> = indices.iter().map(|&index| self.record(index)).collect();
                rows(&records, &SftConfig::default(), self.manifest.eos_token_id)
            }
        }
    }

    /// The record `index` of fine-tuning, without the EOS that ends it: what pads a record ends it too.
    pub(super) fn record(&self, index: usize) -> Record {
        let Located { shard, start, prompt_length, length } = self.records[index];
        let mut ids: Vec<u32> = self.ids(shard, start, length).collect();
        ids.pop_if(|last| length > prompt_length && *last == self.manifest.eos_token_id);
        let answer = prompt_length..ids.len();
        Record { ids, answers: vec![answer] }
    }

    /// The ids of row `index` of pre-training. No row crosses from one shard to the next.
    pub(super) fn stretch(&self, mut index: usize, row_length: usize) -> Vec<u32> {
        let mut shard = 0;
        while index >= self.tokens[shard].len() / 4 / row_length {
            index -= self.tokens[shard].len() / 4 / row_length;
            shard += 1;
        }
        self.ids(shard, index * row_length, row_length).collect()
    }

    fn ids(&self, shard: usize, start: usize, length: usize) -> impl Iterator<Item = u32> {
        let tokens = &self.shards[shard][self.tokens[shard].clone()];
        words(&tokens[start * 4..(start + length) * 4])
    }
}

/// The bytes of a tensor that has to be of u32.
fn integers<'a>(tensors: &SafeTensors<'a>, name: &str) -> Result<&'a [u8], String> {
    let tensor = tensors.tensor(name).map_err(|error| error.to_string())?;
    match tensor.dtype() {
        Dtype::U32 => Ok(tensor.data()),
        other => Err(format!("tensor {name} is stored as {other:?}, not as U32")),
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}
