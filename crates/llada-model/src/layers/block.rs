//! The Transformer block, which is sequential and pre-normed (`block_type` llama): h + attn(norm h), then h + mlp(norm
//! h).

use tch::Tensor;

use super::{
    attention::{Attention, CacheView, Tokens},
    feed_forward::FeedForward,
    linear::Input,
    moe::Load,
    norm::RmsNorm,
    packing::{Packing, Wanted},
    rope::Rope,
};
use crate::{
    ModelError,
    torch::shim::Epilogue,
    weights::{role::BlockRole, source::WeightSource},
};

/// A Transformer block.
#[derive(Debug)]
pub(crate) struct TransformerBlock {
    pub(crate) attn_norm: RmsNorm,
    pub(crate) attention: Attention,
    pub(crate) ff_norm: RmsNorm,
    pub(crate) feed_forward: FeedForward,
}

impl TransformerBlock {
    /// Creates block `layer` with the weights of `source`.
    pub(crate) fn new(source: &mut impl WeightSource, layer: usize) -> Result<Self, ModelError> {
        Ok(Self {
            attn_norm: source.block_norm(layer, BlockRole::AttentionNorm)?,
            attention: Attention::new(source, layer)?,
            ff_norm: source.block_norm(layer, BlockRole::FeedForwardNorm)?,
            feed_forward: FeedForward::new(source, layer)?,
        })
    }

    /// Computes the block for all tokens.
    ///
    /// # Shapes
    /// x (tokens, d) -> (tokens, d).
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        packing: &Packing,
        rope: &Rope,
        caches: CacheView<'_>,
    ) -> Result<Tensor, ModelError> {
        let x = self.attend(x, packing, rope, caches)?;
        self.feed_forward.forward(&self.ff_norm.forward(&x)?, Epilogue::Add(&x))
    }

    fn attend(&self, x: &Tensor, packing: &Packing, rope: &Rope, caches: CacheView<'_>) -> Result<Tensor, ModelError> {
        let hidden = self.attn_norm.forward(x)?;
        let tokens = Tokens { hidden: &Input::new(&hidden), packing };
        self.attention.forward(tokens, tokens, rope, caches, x)
    }

    /// Computes the block in training: attention for all tokens in one call, and everything after it for the wanted ones,
    /// if only some are. `loads` gets how a router spreads all tokens.
    ///
    /// # Shapes
    /// x (tokens, d), wanted (wanted) i64 -> (tokens or wanted, d).
    pub(crate) fn forward_training(
        &self,
        x: &Tensor,
        packing: &Packing,
        wanted: Option<&Tensor>,
        rope: &Rope,
        loads: Option<&mut Vec<Load>>,
    ) -> Result<Tensor, ModelError> {
        let mut x = self.attend(x, packing, rope, CacheView::none())?;
        if let (Some(loads), Some(moe)) = (loads, self.feed_forward.balanced()) {
            loads.push(moe.load(&self.ff_norm.forward(&x)?)?);
        }
        if let Some(wanted) = wanted {
            x = x.f_index_select(0, wanted)?;
        }
        self.feed_forward.forward(&self.ff_norm.forward(&x)?, Epilogue::Add(&x))
    }

    /// Computes the last block in inference: keys and values for all tokens, and everything else for the wanted ones
    /// only.
    ///
    /// # Shapes
    /// x (tokens, d) -> (wanted, d).
    pub(crate) fn forward_wanted(
        &self,
        x: &Tensor,
        packing: &Packing,
        wanted: &Wanted,
        rope: &Rope,
        caches: CacheView<'_>,
    ) -> Result<Tensor, ModelError> {
        let hidden = self.attn_norm.forward(x)?;
        let of_wanted = hidden.f_index_select(0, &wanted.tokens)?;
        let queries = Tokens { hidden: &Input::new(&of_wanted), packing: &wanted.packing };
        let keys = Tokens { hidden: &Input::new(&hidden), packing };
        let x = self.attention.forward(queries, keys, rope, caches, &x.f_index_select(0, &wanted.tokens)?)?;
        self.feed_forward.forward(&self.ff_norm.forward(&x)?, Epilogue::Add(&x))
    }
}

#[cfg(test)]
impl TransformerBlock {
    /// The experts that the block's router chooses for each token; none if its MLP is dense.
    pub(crate) fn routing(
        &self,
        x: &Tensor,
        packing: &Packing,
        rope: &Rope,
    ) -> Result<Option<super::moe::Routing>, ModelError> {
        match &self.feed_forward {
            FeedForward::Dense(_) => Ok(None),
            FeedForward::Moe(moe) => Ok(Some(moe.route(&self.router_input(x, packing, rope)?)?)),
        }
    }

    /// # Shapes
    /// x (tokens, d) -> (tokens, d).
    pub(crate) fn router_input(&self, x: &Tensor, packing: &Packing, rope: &Rope) -> Result<Tensor, ModelError> {
        self.ff_norm.forward(&self.attend(x, packing, rope, CacheView::none())?)
    }
}
