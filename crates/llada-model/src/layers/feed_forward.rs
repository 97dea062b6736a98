//! The feed-forward layer of a block: a gated MLP, or a mixture of experts.

use tch::Tensor;

use super::{mlp::Mlp, moe::Moe};
use crate::{
    ModelError,
    torch::shim::Epilogue,
    weights::{role::BlockRole, source::WeightSource},
};

/// The feed-forward layer of one block.
#[derive(Debug)]
pub(crate) enum FeedForward {
    Dense(Mlp),
    Moe(Moe),
}

impl FeedForward {
    /// Creates the feed-forward layer of block `layer` with the weights of `source`.
    pub(crate) fn new(source: &mut impl WeightSource, layer: usize) -> Result<Self, ModelError> {
        let config = source.config();
        match config.moe(layer).cloned() {
            Some(moe) => Ok(Self::Moe(Moe::new(source, layer, moe)?)),
            None => {
                let (hidden, has_bias) = (config.intermediate_size, config.biases.mlp);
                Ok(Self::Dense(Mlp::new(source, layer, BlockRole::Mlp, hidden, has_bias)?))
            }
        }
    }

    /// Computes the layer and its epilogue.
    ///
    /// # Shapes
    /// hidden (tokens, d), the epilogue's operand (tokens, d) -> (tokens, d).
    pub(crate) fn forward(&self, hidden: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor, ModelError> {
        match self {
            Self::Dense(mlp) => mlp.forward(hidden, epilogue),
            Self::Moe(moe) => moe.forward(hidden, epilogue),
        }
    }

    /// The mixture, if training has a loss of how its router spreads tokens.
    pub(crate) fn balanced(&self) -> Option<&Moe> {
        match self {
            Self::Moe(moe) if moe.is_balanced() => Some(moe),
            _ => None,
        }
    }
}
