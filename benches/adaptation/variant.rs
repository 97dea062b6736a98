//! What is kept of the autoregressive checkpoint.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use llada_benches::corpus::{WordNet, dataset};
use llada_model::{Conversion, ModelConfig, ModelError, convert};
use llada_train::config::ModelShape;
use serde::Serialize;

/// One way to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Variant {
    /// All weights; the token at a position is predicted there, and attention is full.
    Converted,
    /// The same, but the token after a position is predicted, as before.
    Shift,
    /// The same, but attention is causal from block to block.
    BlockCausal,
    /// Nothing but the shape.
    Scratch,
}

/// What a run begins with.
pub(crate) struct Start {
    /// A checkpoint, whose tokenizer the datasets are made with.
    pub(crate) folder: PathBuf,
    pub(crate) text: PathBuf,
    pub(crate) validation: PathBuf,
}

impl Variant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Converted => "converted",
            Self::Shift => "shift",
            Self::BlockCausal => "block-causal",
            Self::Scratch => "scratch",
        }
    }

    /// The highest learning rate: random weights bear more than trained ones.
    pub(crate) fn lr(self) -> f64 {
        if self == Self::Scratch { 1e-3 } else { 2e-4 }
    }

    /// Converts `model` into `out`, unless that was done before.
    pub(crate) fn start(self, model: &Path, text: &WordNet, out: &Path) -> anyhow::Result<Start> {
        // A model from nothing has the tokenizer and the shape of the converted one.
        let kept = if self == Self::Scratch { Self::Converted } else { self };
        let folder = out.join("models").join(kept.name());
        if !folder.exists() {
            let conversion = Conversion {
                logit_shift: kept == Self::Shift,
                block_causal: kept == Self::BlockCausal,
                ..Conversion::default()
            };
            convert(model, &folder, &conversion, |_, _| Ok::<_, ModelError>(()))?;
        }
        let start = Start { folder, text: out.join("text"), validation: out.join("validation") };
        dataset(&text.text, &start.folder, &start.text)?;
        dataset(&text.validation, &start.folder, &start.validation)?;
        Ok(start)
    }
}

/// The shape of a converted model, for one from nothing.
pub(crate) fn shape(config: &ModelConfig, row_length: usize) -> ModelShape {
    ModelShape {
        d_model: config.hidden_size,
        n_layers: config.num_hidden_layers,
        n_heads: config.num_attention_heads,
        n_kv_heads: Some(config.num_key_value_heads),
        mlp_hidden_size: config.intermediate_size,
        max_sequence_length: row_length,
        rope_theta: Some(config.rope_theta),
        weight_tying: Some(config.tie_word_embeddings),
    }
}
