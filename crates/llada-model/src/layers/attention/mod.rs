//! Multi-head attention with grouped keys and values. It is bidirectional unless the model's attention pattern or the
//! shadows of a batch hide keys from a query.

mod kernel;
mod rows;

use tch::Tensor;

use super::{
    kv_cache::KvCaches,
    linear::{Input, Linear},
    norm::RmsNorm,
    packing::Packing,
    rope::Rope,
};
use crate::{
    AttentionPattern, ModelError,
    torch::shim::Epilogue,
    weights::{
        role::{BlockRole, Role},
        source::WeightSource,
    },
};

/// The attention layer of a block.
#[derive(Debug)]
pub(crate) struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    attn_out: Linear,
    /// The norms of queries and keys, which are applied to each head.
    qk_norm: Option<[RmsNorm; 2]>,
    /// The bound to which queries, keys and values are clipped.
    clip: Option<f64>,
    head_dim: i64,
    pub(crate) pattern: AttentionPattern,
}

/// The KV caches of the rows of a packing, and the layer that uses them.
pub(crate) struct CacheView<'a> {
    /// `None` if no row has a cache and rows of one length may be computed in one call.
    pub(crate) caches: Option<&'a mut KvCaches>,
    /// The mask of the keys after the end of each row ([`KvCaches::ends`]).
    pub(crate) ends: Option<&'a Tensor>,
    pub(crate) layer: usize,
}

impl CacheView<'_> {
    /// Creates the view of a packing whose rows have no caches.
    pub(crate) fn none() -> Self {
        Self { caches: None, ends: None, layer: 0 }
    }
}

/// Normed activations with their packing.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    pub(crate) hidden: &'a Input<'a>,
    pub(crate) packing: &'a Packing,
}

impl Attention {
    /// Creates the attention of block `layer` with the weights of `source`.
    pub(crate) fn new(source: &mut impl WeightSource, layer: usize) -> Result<Self, ModelError> {
        let config = source.config();
        let (d, head_dim, biases) = (config.hidden_size, config.head_dim, config.biases);
        let (queries, keys) = (config.num_attention_heads * head_dim, config.num_key_value_heads * head_dim);
        let (clip, pattern, has_norms) = (config.clip_qkv, config.attention, config.qk_norm);
        let role = |role| Role::Block(layer, role);
        let qk_norm = if has_norms {
            let query_norm = source.norm(role(BlockRole::QueryNorm), head_dim)?;
            Some([query_norm, source.norm(role(BlockRole::KeyNorm), head_dim)?])
        } else {
            None
        };
        Ok(Self {
            q_proj: source.linear(role(BlockRole::Query), [queries, d], biases.qkv)?,
            k_proj: source.linear(role(BlockRole::Key), [keys, d], biases.qkv)?,
            v_proj: source.linear(role(BlockRole::Value), [keys, d], biases.qkv)?,
            attn_out: source.linear(role(BlockRole::AttentionOut), [d, queries], biases.attention_out)?,
            qk_norm,
            clip,
            head_dim: head_dim as i64,
            pattern,
        })
    }

    /// residual + attention of `queries` over `keys`, row by row.
    ///
    /// # Shapes
    /// queries (q, d), keys (k, d), residual (q, d) -> (q, d); q and k count the tokens of all rows.
    pub(crate) fn forward(
        &self,
        queries: Tokens<'_>,
        keys: Tokens<'_>,
        rope: &Rope,
        caches: CacheView<'_>,
        residual: &Tensor,
    ) -> Result<Tensor, ModelError> {
        let q = self.queries(queries.hidden, &queries.packing.positions, rope)?;
        let computed = [self.keys(keys.hidden, &keys.packing.positions, rope)?, self.values(keys.hidden)?];
        let is_even = queries.packing.is_even() && keys.packing.is_even();
        let mixed = if is_even && caches.caches.is_none() {
            // Rows of one length without caches are computed in one call, with the visibility of the first for all.
            let seen = self.seen_by_row(0, queries.packing, keys.packing, None)?;
            self.attend([&q, &computed[0], &computed[1]], &seen, keys.packing.spans.len() as i64)?
        } else {
            self.attend_in_groups(&q, &computed, queries.packing, keys.packing, caches)?
        };
        self.output(&mixed, Epilogue::Add(residual))
    }

    /// Computes the rotated queries of normed activations.
    ///
    /// # Shapes
    /// hidden (tokens, d), positions (tokens) -> (tokens, heads x head_dim).
    pub(in crate::layers) fn queries(
        &self,
        hidden: &Input<'_>,
        positions: &Tensor,
        rope: &Rope,
    ) -> Result<Tensor, ModelError> {
        let q = self.q_proj.forward(hidden, Epilogue::None)?;
        rope.rotate(self.bounded(self.normed(q, 0)?)?, positions)
    }

    /// Computes the rotated keys of normed activations.
    ///
    /// # Shapes
    /// hidden (tokens, d), positions (tokens) -> (tokens, kv heads x head_dim).
    pub(in crate::layers) fn keys(
        &self,
        hidden: &Input<'_>,
        positions: &Tensor,
        rope: &Rope,
    ) -> Result<Tensor, ModelError> {
        let k = self.k_proj.forward(hidden, Epilogue::None)?;
        rope.rotate(self.bounded(self.normed(k, 1)?)?, positions)
    }

    /// Computes the values of normed activations.
    ///
    /// # Shapes
    /// hidden (tokens, d) -> (tokens, kv heads x head_dim).
    pub(in crate::layers) fn values(&self, hidden: &Input<'_>) -> Result<Tensor, ModelError> {
        self.bounded(self.v_proj.forward(hidden, Epilogue::None)?)
    }

    /// Projects the outputs of the heads back into the residual stream.
    ///
    /// # Shapes
    /// mixed (tokens, heads x head_dim) -> (tokens, d).
    pub(in crate::layers) fn output(&self, mixed: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor, ModelError> {
        self.attn_out.forward(&Input::new(mixed), epilogue)
    }

    /// Applies the norm of queries (`which` 0) or keys (1) to each head, if the model has these norms.
    fn normed(&self, x: Tensor, which: usize) -> Result<Tensor, ModelError> {
        let Some(norms) = &self.qk_norm else { return Ok(x) };
        let by_head = x.f_view([-1, self.head_dim])?;
        Ok(norms[which].forward(&by_head)?.f_view(x.size2()?)?)
    }

    fn bounded(&self, x: Tensor) -> Result<Tensor, ModelError> {
        match self.clip {
            Some(clip) => Ok(x.f_clamp(-clip, clip)?),
            None => Ok(x),
        }
    }
}
