//! The sizes, and what training one of them costs.

use llada_model::ModelConfig;
use llada_train::config::ModelShape;
use serde::Serialize;

/// Tokens of a row.
pub(crate) const ROW_LENGTH: usize = 128;

/// The shape of a model: heads of 32, and a gated MLP of 8/3 of the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Size {
    pub(crate) d_model: usize,
    pub(crate) n_layers: usize,
}

/// The widest is that of llada-tiny. Depth grows with width.
pub(crate) const SIZES: [Size; 4] = [
    Size { d_model: 64, n_layers: 2 },
    Size { d_model: 96, n_layers: 3 },
    Size { d_model: 128, n_layers: 4 },
    Size { d_model: 192, n_layers: 6 },
];

impl Size {
    pub(crate) fn shape(self) -> ModelShape {
        let Self { d_model, n_layers } = self;
        ModelShape {
            d_model,
            n_layers,
            n_heads: d_model / 32,
            n_kv_heads: None,
            mlp_hidden_size: (8 * d_model / 3).next_multiple_of(16),
            max_sequence_length: ROW_LENGTH,
            rope_theta: Some(10_000.0),
            weight_tying: Some(true),
        }
    }
}

/// Parameters that are not the embedding, which is the head too.
pub(crate) fn non_embedding(config: &ModelConfig) -> usize {
    config.parameters() - config.embedding_size * config.hidden_size
}

/// Floating-point operations of training by token, as appendix B of [PaLM](https://arxiv.org/abs/2204.02311) counts
/// them: 6 for every weight that a token meets, the head's included, and attention's 12 · layers · width · row length.
/// At these sizes the head and attention are no small part of it, so 6·N·D over non-embedding weights would flatter the
/// small models. Both objectives are charged the same, though diffusion's head sees masked tokens alone, and a causal
/// attention half of the row.
pub(crate) fn flops_per_token(config: &ModelConfig) -> f64 {
    let weights = config.parameters();
    let attention = config.num_hidden_layers * config.hidden_size * ROW_LENGTH;
    (6 * weights + 12 * attention) as f64
}
