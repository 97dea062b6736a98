//! Writes a dataset: into a temporary sibling, which takes the folder's name when it is complete.

use std::{
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::TensorView};

use super::dataset::{Kind, Manifest, ShardEntry};
use crate::{TrainError, digest::sha256, folder::Pending};

/// Tokens of a full shard: 256 MiB.
const SHARD: usize = 1 << 26;

/// A dataset in the making. Dropped before [`finish`](Self::finish), it leaves nothing behind.
#[derive(Debug)]
pub struct DatasetWriter {
    pending: Pending,
    manifest: Manifest,
    tokens: Vec<u32>,
    records: Vec<u32>,
}

impl DatasetWriter {
    /// Starts a dataset that will be `folder`, of ids below `vocab_size`.
    ///
    /// # Errors
    /// The folder exists already, or its sibling cannot be made.
    pub fn create(folder: &Path, kind: Kind, vocab_size: usize, eos_token_id: u32) -> Result<Self, TrainError> {
        if folder.exists() {
            return Err(TrainError::file(folder, "it exists already\nhint: remove it, or choose another --out"));
        }
        let manifest = Manifest { kind, vocab_size, eos_token_id, tokens: 0, text_bytes: 0, shards: vec![] };
        Ok(Self { pending: Pending::create(folder)?, manifest, tokens: vec![], records: vec![] })
    }

    /// Adds a part of a document, of `text_bytes` bytes.
    ///
    /// # Errors
    /// A shard cannot be written.
    pub fn part(&mut self, ids: &[u32], text_bytes: usize) -> Result<(), TrainError> {
        self.tokens.extend_from_slice(ids);
        self.manifest.text_bytes += text_bytes as u64;
        if self.manifest.kind == Kind::Pretrain { self.flush(SHARD) } else { Ok(()) }
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

    /// Writes what is left and gives the folder its name.
    ///
    /// # Errors
    /// A file cannot be written, or there was nothing to write.
    pub fn finish(mut self) -> Result<PathBuf, TrainError> {
        self.flush(1)?;
        if self.manifest.tokens == 0 {
            return Err(TrainError::file(
                self.pending.target(),
                "there is no text in the input\nhint: is --format right?",
            ));
        }
        let path = self.pending.path().join("dataset.json");
        let text = serde_json::to_string_pretty(&self.manifest).map_err(|e| TrainError::file(&path, e))?;
        fs::write(&path, text + "\n").map_err(TrainError::write(&path))?;
        self.pending.finish()
    }

    fn flush(&mut self, least: usize) -> Result<(), TrainError> {
        if self.tokens.len() < least {
            return Ok(());
        }
        let file = format!("shard-{:05}.safetensors", self.manifest.shards.len());
        let path = self.pending.path().join(&file);
        let bytes = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let (tokens, records) = (bytes(&self.tokens), bytes(&self.records));
        let view = |bytes, shape| TensorView::new(Dtype::U32, shape, bytes).map_err(|e| TrainError::file(&path, e));
        let mut tensors = vec![("tokens", view(&tokens, vec![self.tokens.len()])?)];
        if self.manifest.kind == Kind::Sft {
            tensors.push(("records", view(&records, vec![self.records.len() / 2, 2])?));
        }
        let whole = safetensors::serialize(tensors, None).map_err(|e| TrainError::file(&path, e))?;
        fs::write(&path, &whole).map_err(TrainError::write(&path))?;
        self.manifest.shards.push(ShardEntry { file, sha256: sha256(&whole) });
        self.manifest.tokens += self.tokens.len() as u64;
        self.tokens.clear();
        self.records.clear();
        Ok(())
    }
}
