//! The writer of a dataset. It writes into a temporary sibling, which takes the folder's name when it is complete.

use std::{
    fs,
    path::{Path, PathBuf},
};

use llada_model::atomic::PendingFolder;
use safetensors::{Dtype, tensor::TensorView};

use super::dataset::{DatasetKind, Manifest, ShardEntry};
use crate::{TrainError, checkpoint::sha256};

/// The number of tokens of a full shard: 256 MiB.
const SHARD: usize = 1 << 26;

/// A dataset that is being written. It leaves nothing behind if it is dropped before [`finish`](Self::finish).
#[derive(Debug)]
pub struct DatasetWriter {
    pending: PendingFolder,
    manifest: Manifest,
    tokens: Vec<u32>,
    records: Vec<u32>,
}

impl DatasetWriter {
    /// Starts the dataset that will be `folder`, of ids below `vocab_size`.
    ///
    /// # Errors
    /// The folder exists already, or its sibling cannot be made.
    pub fn create(folder: &Path, kind: DatasetKind, vocab_size: usize, eos_token_id: u32) -> Result<Self, TrainError> {
        if folder.exists() {
            return Err(TrainError::Exists { path: folder.to_owned() });
        }
        let manifest = Manifest { kind, vocab_size, eos_token_id, tokens: 0, text_bytes: 0, shards: vec![] };
        Ok(Self { pending: PendingFolder::create(folder)?, manifest, tokens: vec![], records: vec![] })
    }

    /// Adds a part of a document, of `text_bytes` bytes.
    ///
    /// # Errors
    /// A shard cannot be written.
    pub fn part(&mut self, ids: &[u32], text_bytes: usize) -> Result<(), TrainError> {
        self.tokens.extend_from_slice(ids);
        self.manifest.text_bytes += text_bytes as u64;
        if self.manifest.kind == DatasetKind::Pretrain { self.flush(SHARD) } else { Ok(()) }
    }

    /// Ends a document: EOS follows it.
    ///
    /// # Errors
    /// A shard cannot be written.
    pub fn end(&mut self) -> Result<(), TrainError> {
        self.tokens.push(self.manifest.eos_token_id);
        self.flush(SHARD)
    }

    /// Adds a prompt and its answer, together of `text_bytes` bytes; EOS follows the answer.
    ///
    /// # Errors
    /// A shard cannot be written.
    pub fn record(&mut self, prompt: &[u32], answer: &[u32], text_bytes: usize) -> Result<(), TrainError> {
        self.records.extend([prompt.len() as u32, answer.len() as u32 + 1]);
        self.part(prompt, 0)?;
        self.part(answer, text_bytes)?;
        self.end()
    }

    /// Writes the last shard and gives the folder its name.
    ///
    /// # Errors
    /// A file cannot be written, or there was nothing to write.
    pub fn finish(mut self) -> Result<PathBuf, TrainError> {
        self.flush(1)?;
        if self.manifest.tokens == 0 {
            return Err(TrainError::NoText { out: self.pending.target().to_owned() });
        }
        let path = self.pending.path().join("dataset.json");
        let text = serde_json::to_string_pretty(&self.manifest).map_err(|e| TrainError::file(&path, e))?;
        fs::write(&path, text + "\n").map_err(TrainError::write(&path))?;
        Ok(self.pending.finish()?)
    }

    /// Writes the tokens so far as a shard, if there are `least` of them.
    fn flush(&mut self, least: usize) -> Result<(), TrainError> {
        if self.tokens.len() < least {
            return Ok(());
        }
        let file = format!("shard-{:05}.safetensors", self.manifest.shards.len());
        let path = self.pending.path().join(&file);
        let (tokens, records) = (bytes(&self.tokens), bytes(&self.records));
        let view = |bytes, shape| TensorView::new(Dtype::U32, shape, bytes).map_err(|e| TrainError::file(&path, e));
        let mut tensors = vec![("tokens", view(&tokens, vec![self.tokens.len()])?)];
        if self.manifest.kind == DatasetKind::Sft {
            tensors.push(("records", view(&records, vec![self.records.len() / 2, 2])?));
        }
        let shard = safetensors::serialize(tensors, None).map_err(|e| TrainError::file(&path, e))?;
        fs::write(&path, &shard).map_err(TrainError::write(&path))?;
        self.manifest.shards.push(ShardEntry { file, sha256: sha256(&shard) });
        self.manifest.tokens += self.tokens.len() as u64;
        self.tokens.clear();
        self.records.clear();
        Ok(())
    }
}

/// The words in little-endian order.
fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
