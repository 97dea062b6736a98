//! The neutral description of a model: everything that layers, loaders and samplers need to know of it, whatever its
//! family and whatever the family's `config.json` calls it.
//!
//! Names are those of Hugging Face's configuration classes. Each family's keys are read in [`crate::arch`].

mod keys;
mod known;
mod moe;
mod plan;
mod read;

use crate::{Precision, arch::Family, weights::role};

pub(crate) use self::{
    keys::{Keys, LARGEST, Rules, token_ids},
    known::Fixed,
};
pub use self::{
    moe::{MoeConfig, MoeLayers, Router, Scoring},
    read::ConfigReading,
};

/// The shape of a mask predictor's Transformer and its special ids.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelConfig {
    /// The family whose names and formats the checkpoint follows.
    pub family: Family,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of Transformer blocks.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key and value heads; each serves `num_attention_heads / num_key_value_heads` query heads.
    pub num_key_value_heads: usize,
    /// Width of one attention head.
    pub head_dim: usize,
    /// Hidden width of the gated MLP of dense layers.
    pub intermediate_size: usize,
    /// The mixture of experts, if some layers have one instead of the dense MLP.
    pub moe: Option<MoeConfig>,
    /// Number of token ids.
    pub vocab_size: usize,
    /// Rows of the embedding; those from `vocab_size` on are padding.
    pub embedding_size: usize,
    /// Rows of the LM head, the length of a row of logits. It is `embedding_size` but where the mask has no row.
    pub padded_vocab_size: usize,
    /// Length of the longest sequence in tokens, prompt and answer together.
    pub max_sequence_length: usize,
    /// Base of the rotary embedding's frequencies.
    pub rope_theta: f64,
    /// The number of leading dimensions of each head that are rotated: even, at most `head_dim`.
    pub rotary_dim: usize,
    /// Whether the rotation is computed in f32 whatever the weights' dtype.
    pub rope_full_precision: bool,
    /// Epsilon inside the root mean square of every norm.
    pub rms_norm_eps: f64,
    /// Whether the LM head is the embedding's transpose.
    pub tie_word_embeddings: bool,
    /// Which linear layers have biases.
    pub biases: Biases,
    /// Whether queries and keys are normed head by head before they are rotated.
    pub qk_norm: bool,
    /// The bound c to which queries, keys and values are clamped, \[−c, c\], before the rotation.
    pub clip_qkv: Option<f64>,
    /// Which positions see which.
    pub attention: AttentionPattern,
    /// Whether the hidden state of position i − 1 predicts the token at position i, as in an autoregressive model.
    pub logit_shift: bool,
    /// Whether the linear layers are stored in eight bits, as [`quantize`](crate::quantize) stores them.
    pub is_quantized: bool,
    /// Id of the mask token, M.
    pub mask_token_id: u32,
    /// Id of the end of the text, which also pads; the first where the config lists several.
    pub eos_token_id: u32,
    /// The other ids of a list in `eos_token_id`: an answer's text ends at any of them too.
    pub other_eos_token_ids: Vec<u32>,
}

/// The linear layers that have biases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Biases {
    /// The query, key and value projections.
    pub qkv: bool,
    /// The projection of attention's output.
    pub attention_out: bool,
    /// The three projections of a dense MLP.
    pub mlp: bool,
    /// The LM head, unless it is tied.
    pub head: bool,
}

/// The positions that a position sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttentionPattern {
    /// All of its sequence.
    Full,
    /// Itself and those before it: the autoregressive baseline.
    Causal,
    /// Its own block and those before it, in blocks counted from position 0.
    BlockCausal {
        /// Positions of a block, unless a row of a batch says otherwise.
        block_length: usize,
    },
}

impl ModelConfig {
    /// Whether the model is autoregressive: it continues text and fills no masks.
    pub fn is_causal(&self) -> bool {
        self.attention == AttentionPattern::Causal
    }

    /// The mixture of experts of block `layer`; none where its MLP is dense.
    pub fn moe(&self, layer: usize) -> Option<&MoeConfig> {
        self.moe.as_ref().filter(|moe| moe.layers.contain(layer))
    }

    /// Whether `id` may stand in a row: a token, or the mask.
    pub(crate) fn knows(&self, id: u32) -> bool {
        (id as usize) < self.vocab_size || id == self.mask_token_id
    }

    /// The position whose hidden state predicts the token at `position` of a row.
    pub(crate) fn predicted_from(&self, position: usize) -> usize {
        if self.logit_shift { position.saturating_sub(1) } else { position }
    }

    /// Number of parameters of a model of this shape; the largest number there is if they are more.
    pub fn parameters(&self) -> usize {
        role::parameters_outside(self).saturating_add(self.sum_of_blocks(role::block_parameters))
    }

    /// The sum over all blocks of what `of_block` counts in the first block of a config.
    fn sum_of_blocks(&self, of_block: impl Fn(&Self) -> usize) -> usize {
        let kinds = self.kinds_of_blocks().into_iter();
        kinds.fold(0, |sum: usize, (kind, blocks)| sum.saturating_add(of_block(&kind).saturating_mul(blocks)))
    }

    /// The kinds of blocks that there are, dense ones and those with experts: a config whose first block is of that kind,
    /// and their number. A config may claim more blocks than could be listed.
    fn kinds_of_blocks(&self) -> Vec<(Self, usize)> {
        let sparse = self.moe.as_ref().map_or(0, |moe| moe.layers.count(self.num_hidden_layers));
        let moe = self.moe.clone().map(|moe| MoeConfig { layers: MoeLayers::From(0), ..moe });
        let kinds = [(None, self.num_hidden_layers - sparse), (moe, sparse)].into_iter();
        kinds.filter(|&(_, blocks)| blocks > 0).map(|(moe, blocks)| (Self { moe, ..self.clone() }, blocks)).collect()
    }

    /// Bytes that the weights of a model of this shape take in `precision`; the largest number there is if they are more.
    /// In int8 the embedding is counted in bf16, as it is stored; in NF4 the head too. The norms, and int8's scales, take
    /// less than a hundredth and are left out; those of NF4 are counted.
    pub fn weight_bytes(&self, precision: impl Into<Precision>) -> usize {
        let parameters = self.parameters();
        match precision.into() {
            Precision::Float(dtype) => parameters.saturating_mul(dtype.bytes()),
            Precision::Int8 => parameters.saturating_add(self.embedding_size.saturating_mul(self.hidden_size)),
            Precision::Nf4 { double_quant } => {
                let outside = role::parameters_outside(self);
                // Half a byte each, and a scale for 64 of them.
                let bytes = if double_quant { 32 + 1 } else { 32 + 4 };
                let blocks = (parameters - outside.min(parameters)) / 64;
                blocks.saturating_mul(bytes).saturating_add(outside.saturating_mul(2))
            }
        }
    }
}

/// A config is written as the keys of its family's `config.json`.
impl serde::Serialize for ModelConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.family.architecture().keys(self).serialize(serializer)
    }
}
