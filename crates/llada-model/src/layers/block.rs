//! One Transformer block, sequential and pre-normed (`block_type` llama): h + attn(norm h), then h + mlp(norm h).

use tch::Tensor;

use super::{
    attention::{Attention, Tokens},
    mlp::Mlp,
    norm::RmsNorm,
    packing::{Packing, Wanted},
    rope::Rope,
};
use crate::ModelError;

/// One of the model's `n_layers` blocks.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) attn_norm: RmsNorm,
    pub(crate) attention: Attention,
    pub(crate) ff_norm: RmsNorm,
    pub(crate) mlp: Mlp,
}

impl Block {
    /// # Shapes
    /// x (tokens, d) -> (tokens, d).
    pub(crate) fn forward(&self, x: &Tensor, packing: &Packing, rope: &Rope) -> Result<Tensor, ModelError> {
        let hidden = self.attn_norm.forward(x)?;
        let tokens = Tokens { hidden: &hidden, packing };
        let x = self.attention.forward(tokens, tokens, rope, x)?;
        self.mlp.forward(&self.ff_norm.forward(&x)?, &x)
    }

    /// The last block: keys and values of all tokens, everything else for the wanted ones alone.
    ///
    /// # Shapes
    /// x (tokens, d) -> (wanted, d).
    pub(crate) fn forward_wanted(
        &self,
        x: &Tensor,
        packing: &Packing,
        wanted: &Wanted,
        rope: &Rope,
    ) -> Result<Tensor, ModelError> {
        let hidden = self.attn_norm.forward(x)?;
        let asking = hidden.f_index_select(0, &wanted.tokens)?;
        let queries = Tokens { hidden: &asking, packing: &wanted.packing };
        let keys = Tokens { hidden: &hidden, packing };
        let x = self.attention.forward(queries, keys, rope, &x.f_index_select(0, &wanted.tokens)?)?;
        self.mlp.forward(&self.ff_norm.forward(&x)?, &x)
    }
}
