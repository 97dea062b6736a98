//! A checkpoint to measure speed on, where only its shape matters.

use std::path::PathBuf;

use anyhow::Context;
use llada_model::{Device, Dtype, ModelConfig, TrainableTransformer};
use serde_json::json;
use tempfile::TempDir;

use crate::place;

/// A checkpoint's folder, removed in the end if it was made here.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where it lies.
    pub folder: PathBuf,
    _made: Option<TempDir>,
}

impl Checkpoint {
    /// The one that `LLADA_BENCH_MODEL` names, or else one of 5 million random weights.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn open() -> anyhow::Result<Self> {
        if let Some(folder) = place::named_model() {
            return Ok(Self { folder, _made: None });
        }
        let made = TempDir::new().context("cannot make a temporary folder")?;
        let keys = json!({
            "d_model": 256, "n_layers": 4, "n_heads": 4, "mlp_hidden_size": 704, "max_sequence_length": 1024,
            "vocab_size": 4096, "mask_token_id": 4095, "eos_token_id": 4094, "weight_tying": false,
        });
        let config = ModelConfig::from_keys(keys.as_object().cloned().unwrap_or_default())?;
        TrainableTransformer::new(config, 0, Device::Cpu, Dtype::F32)?.save(made.path(), Dtype::F32)?;
        Ok(Self { folder: made.path().to_owned(), _made: Some(made) })
    }
}
