//! Multi-head attention with grouped keys and values. It is bidirectional unless the model's attention pattern or the
//! shadows of a batch hide keys from a query.

use tch::{Device, Kind, Tensor};

use super::{
    kv_cache::KvCaches,
    linear::{Input, Linear},
    norm::RmsNorm,
    packing::{Packing, Span},
    rope::Rope,
    visibility::{Visibility, of_pattern, of_shadows},
};
use crate::{
    AttentionPattern, ModelError,
    torch::shim::Epilogue,
    weights::{
        role::{BlockRole, Role},
        source::WeightSource,
    },
};

/// The length up to which rows are trained with whole matrices of scores, in tokens.
///
/// On the CPU, the backward pass of libtorch's fused attention multiplies head by head, in products that are too small
/// for bf16 to be fast. It is five times slower than whole matrices at 64 tokens, and equally fast at about 300.
const SHORT: i64 = 256;

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
    pub(crate) layer: usize,
}

impl CacheView<'_> {
    /// Creates the view of a packing whose rows have no caches.
    pub(crate) fn none() -> Self {
        Self { caches: None, layer: 0 }
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
        let k = self.keys(keys.hidden, &keys.packing.positions, rope)?;
        let v = self.values(keys.hidden)?;
        let is_even = queries.packing.is_even() && keys.packing.is_even();
        let mixed = if is_even && caches.caches.is_none() {
            // Rows of one length without caches are computed in one call, with the visibility of the first for all.
            let (query_span, key_span) = (&queries.packing.spans[0], &keys.packing.spans[0]);
            let queries_at = query_span.of(&queries.packing.positions)?;
            let keys_at = key_span.of(&keys.packing.positions)?;
            let seen = of_pattern(self.pattern, query_span, &queries_at, &keys_at, 0)?;
            self.attend([&q, &k, &v], &seen, keys.packing.spans.len() as i64)?
        } else {
            self.attend_by_row([&q, &k, &v], queries.packing, keys.packing, caches)?
        };
        self.output(&mixed, Epilogue::Add(residual))
    }

    /// Computes the rotated queries of normed activations.
    ///
    /// # Shapes
    /// hidden (tokens, d), positions (tokens) -> (tokens, heads x head_dim).
    pub(super) fn queries(&self, hidden: &Input<'_>, positions: &Tensor, rope: &Rope) -> Result<Tensor, ModelError> {
        let q = self.q_proj.forward(hidden, Epilogue::None)?;
        rope.rotate(self.bounded(self.normed(q, 0)?)?, positions)
    }

    /// Computes the rotated keys of normed activations.
    ///
    /// # Shapes
    /// hidden (tokens, d), positions (tokens) -> (tokens, kv heads x head_dim).
    pub(super) fn keys(&self, hidden: &Input<'_>, positions: &Tensor, rope: &Rope) -> Result<Tensor, ModelError> {
        let k = self.k_proj.forward(hidden, Epilogue::None)?;
        rope.rotate(self.bounded(self.normed(k, 1)?)?, positions)
    }

    /// Computes the values of normed activations.
    ///
    /// # Shapes
    /// hidden (tokens, d) -> (tokens, kv heads x head_dim).
    pub(super) fn values(&self, hidden: &Input<'_>) -> Result<Tensor, ModelError> {
        self.bounded(self.v_proj.forward(hidden, Epilogue::None)?)
    }

    /// Projects the outputs of the heads back into the residual stream.
    ///
    /// # Shapes
    /// mixed (tokens, heads x head_dim) -> (tokens, d).
    pub(super) fn output(&self, mixed: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor, ModelError> {
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

    /// Computes attention row by row, over the keys and values of this forward and those in the KV caches.
    ///
    /// # Shapes
    /// q (q, d), k and v (k, kv) -> (q, d).
    fn attend_by_row(
        &self,
        [q, k, v]: [&Tensor; 3],
        queries: &Packing,
        keys: &Packing,
        CacheView { mut caches, layer }: CacheView<'_>,
    ) -> Result<Tensor, ModelError> {
        let mut rows = Vec::with_capacity(keys.spans.len());
        for (row, (query_span, key_span)) in queries.spans.iter().zip(&keys.spans).enumerate() {
            let computed = [key_span.of(k)?, key_span.of(v)?];
            let places = keys.places.as_ref().map(|places| key_span.of(places)).transpose()?;
            let mut keys_at = key_span.of(&keys.positions)?;
            let [k, v] = match caches.as_mut().and_then(|caches| caches.of_row(row)) {
                Some(cache) => {
                    if self.pattern != AttentionPattern::Full {
                        keys_at = positions_with_cache(cache.length, key_span, &keys_at)?;
                    }
                    cache.update(layer, key_span, places.as_ref(), computed)?
                }
                None => computed,
            };
            let queries_at = query_span.of(&queries.positions)?;
            let mut seen = of_pattern(self.pattern, query_span, &queries_at, &keys_at, key_span.shadows)?;
            if let Some(shadow_of) = &queries.shadow_of
                && key_span.shadows > 0
            {
                seen = seen.and(of_shadows(&query_span.of(shadow_of)?, k.size()[0], key_span.shadows)?)?;
            }
            rows.push(self.attend([&query_span.of(q)?, &k, &v], &seen, 1)?);
        }
        match rows.as_slice() {
            [row] => Ok(row.shallow_clone()),
            rows => Ok(Tensor::f_cat(rows, 0)?),
        }
    }

    /// Computes attention within each of `rows` rows of equal length.
    ///
    /// # Shapes
    /// q (rows x queries, d), k and v (rows x keys, kv) -> (rows x queries, d).
    pub(super) fn attend(&self, [q, k, v]: [&Tensor; 3], seen: &Visibility, rows: i64) -> Result<Tensor, ModelError> {
        let heads = |x: &Tensor| {
            let (tokens, width) = x.size2()?;
            x.f_view([rows, tokens / rows, width / self.head_dim, self.head_dim])?.f_transpose(1, 2)
        };
        let grouped = q.size2()?.1 != k.size2()?.1;
        let whole = q.size2()?.0 == k.size2()?.0;
        let (q, k, v) = (heads(q)?, heads(k)?, heads(v)?);
        let short = q.device() == Device::Cpu && q.kind() == Kind::BFloat16 && k.size()[2] <= SHORT;
        let (mask, causal) = match seen {
            Visibility::All => (None, false),
            Visibility::Causal => (None, true),
            Visibility::Masked(mask) => (Some(mask), false),
        };
        let mixed = if q.requires_grad() && short && whole && !grouped && mask.is_none() {
            attend_short([&q, &k, &v], causal)?
        } else {
            Tensor::f_scaled_dot_product_attention(&q, &k, &v, mask, 0.0, causal, None, grouped)?
        };
        Ok(mixed.f_transpose(1, 2)?.f_reshape([-1, q.size()[1] * self.head_dim])?)
    }
}

/// Returns the positions of all keys of a row with a KV cache: first its tokens, then its shadows.
///
/// # Shapes
/// computed (span.length) i64 -> (length + shadows) i64.
fn positions_with_cache(length: usize, span: &Span, computed: &Tensor) -> Result<Tensor, ModelError> {
    let tokens = Tensor::f_arange(length as i64, (Kind::Int64, computed.device()))?;
    if span.shadows == 0 {
        return Ok(tokens);
    }
    Ok(Tensor::f_cat(&[tokens, computed.f_narrow(0, span.length - span.shadows, span.shadows)?], 0)?)
}

/// Computes attention among all tokens of rows of equal length, with whole matrices of scores in memory.
///
/// # Shapes
/// q, k, v (rows, heads, tokens, head_dim) -> the same.
fn attend_short([q, k, v]: [&Tensor; 3], causal: bool) -> Result<Tensor, ModelError> {
    let (rows, heads, tokens, width) = q.size4()?;
    let scale = (width as f64).sqrt().recip();
    let options = (q.kind(), q.device());
    let (mask, weight) = if causal {
        (Tensor::f_full([1, tokens, tokens], f64::NEG_INFINITY, options)?.f_triu(1)?, 1.0)
    } else {
        (Tensor::f_zeros([1, 1, 1], options)?, 0.0)
    };
    let flat = |x: &Tensor| x.f_reshape([rows * heads, tokens, width]);
    let scores = mask.f_baddbmm(&flat(q)?, &flat(k)?.f_transpose(1, 2)?, weight, scale)?;
    Ok(scores.f_softmax(-1, q.kind())?.f_bmm(&flat(v)?)?.f_view([rows, heads, tokens, width])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_in_memory_are_the_fused_attention() -> Result<(), ModelError> {
        tch::manual_seed(0);
        let input = || Tensor::randn([2, 3, 7, 4], tch::kind::FLOAT_CPU).set_requires_grad(true);
        let [q, k, v] = [input(), input(), input()];
        for causal in [false, true] {
            let fused = Tensor::f_scaled_dot_product_attention(&q, &k, &v, None::<&Tensor>, 0.0, causal, None, false)?;
            let short = attend_short([&q, &k, &v], causal)?;
            assert!(short.allclose(&fused, 1e-5, 1e-6, false), "causal: {causal}");
            let slopes = |y: &Tensor| Tensor::f_run_backward(&[y.sin().sum(Kind::Float)], &[&q, &k, &v], true, false);
            for (short, fused) in slopes(&short)?.iter().zip(&slopes(&fused)?) {
                assert!(short.allclose(fused, 1e-5, 1e-6, false), "gradient, causal: {causal}");
            }
        }
        Ok(())
    }
}
