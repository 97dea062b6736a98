//! One Transformer block, sequential and pre-normed (`block_type` llama): h + attn(norm h), then h + mlp(norm h).

use tch::Tensor;

use super::{
    attention::{Attention, CacheView, Tokens},
    linear::{Input, Linear},
    mlp::Mlp,
    norm::RmsNorm,
    packing::{Packing, Wanted},
    rope::Rope,
};
use crate::{LladaConfig, ModelError, names, torch::shim::Epilogue};

/// One of the model's `n_layers` blocks.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) attn_norm: RmsNorm,
    pub(crate) attention: Attention,
    pub(crate) ff_norm: RmsNorm,
    pub(crate) mlp: Mlp,
}

/// Where the weights of layers come from, by name: a checkpoint's files, or variables in training.
pub(crate) trait Source {
    /// The config that calls for them.
    fn config(&self) -> &LladaConfig;

    /// The norm `{prefix}{name}`.
    fn norm(&mut self, prefix: &str, name: &str) -> Result<RmsNorm, ModelError>;

    /// The linear layer `{prefix}{name}` whose weight is of `shape`.
    fn linear(&mut self, prefix: &str, name: &str, shape: [usize; 2], bias: bool) -> Result<Linear, ModelError>;
}

impl Block {
    /// Block `layer` over the weights of `source`.
    pub(crate) fn new(source: &mut impl Source, layer: usize) -> Result<Self, ModelError> {
        let config = source.config();
        let (d, mlp, head_dim) = (config.d_model, config.mlp_hidden_size, config.head_dim());
        let (kv, is_causal) = (config.n_kv_heads * head_dim, config.is_causal);
        let (bias, qkv_bias) = (config.include_bias, config.include_bias || config.include_qkv_bias);
        let at = names::block(layer);
        Ok(Self {
            attn_norm: source.norm(&at, "attn_norm")?,
            attention: Attention {
                q_proj: source.linear(&at, "q_proj", [d, d], qkv_bias)?,
                k_proj: source.linear(&at, "k_proj", [kv, d], qkv_bias)?,
                v_proj: source.linear(&at, "v_proj", [kv, d], qkv_bias)?,
                attn_out: source.linear(&at, "attn_out", [d, d], bias)?,
                head_dim: head_dim as i64,
                is_causal,
            },
            ff_norm: source.norm(&at, "ff_norm")?,
            mlp: Mlp {
                ff_proj: source.linear(&at, "ff_proj", [mlp, d], bias)?,
                up_proj: source.linear(&at, "up_proj", [mlp, d], bias)?,
                ff_out: source.linear(&at, "ff_out", [d, mlp], bias)?,
            },
        })
    }

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
        self.mlp.forward(&self.ff_norm.forward(&x)?, Epilogue::Add(&x))
    }

    fn attend(&self, x: &Tensor, packing: &Packing, rope: &Rope, caches: CacheView<'_>) -> Result<Tensor, ModelError> {
        let hidden = self.attn_norm.forward(x)?;
        let tokens = Tokens { hidden: &Input::new(&hidden), packing };
        self.attention.forward(tokens, tokens, rope, caches, x)
    }

    /// The last block in training: attention for all tokens in one call, everything after it for `wanted` alone.
    ///
    /// # Shapes
    /// x (tokens, d), wanted (wanted) i64 -> (wanted, d).
    pub(crate) fn forward_select(
        &self,
        x: &Tensor,
        packing: &Packing,
        wanted: &Tensor,
        rope: &Rope,
    ) -> Result<Tensor, ModelError> {
        let x = self.attend(x, packing, rope, CacheView::none())?.f_index_select(0, wanted)?;
        self.mlp.forward(&self.ff_norm.forward(&x)?, Epilogue::Add(&x))
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
        caches: CacheView<'_>,
    ) -> Result<Tensor, ModelError> {
        let hidden = self.attn_norm.forward(x)?;
        let asking = hidden.f_index_select(0, &wanted.tokens)?;
        let queries = Tokens { hidden: &Input::new(&asking), packing: &wanted.packing };
        let keys = Tokens { hidden: &Input::new(&hidden), packing };
        let x = self.attention.forward(queries, keys, rope, caches, &x.f_index_select(0, &wanted.tokens)?)?;
        self.mlp.forward(&self.ff_norm.forward(&x)?, Epilogue::Add(&x))
    }
}
