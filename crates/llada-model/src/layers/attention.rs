//! Multi-head attention with grouped keys and values: bidirectional, without a mask of any kind. The autoregressive
//! baseline alone is causal, and shadows alone are hidden.

use tch::{Device, Kind, Tensor};

use super::{
    kv_cache::KvCache,
    linear::{Input, Linear},
    packing::Packing,
    rope::Rope,
};
use crate::{ModelError, torch::shim::Epilogue};

/// The longest rows that are trained with whole matrices of scores. On the CPU, libtorch's fused attention goes back
/// head by head through products too small for bf16: five times slower at 64 tokens, as fast at some 300.
const SHORT: i64 = 256;

/// Projections of one block's attention.
#[derive(Debug)]
pub(crate) struct Attention {
    pub(crate) q_proj: Linear,
    pub(crate) k_proj: Linear,
    pub(crate) v_proj: Linear,
    pub(crate) attn_out: Linear,
    pub(crate) head_dim: i64,
    pub(crate) is_causal: bool,
}

/// The KV caches of a packing's rows, as the attention of one layer sees them.
pub(crate) struct CacheView<'a> {
    /// By row; none where the row keeps nothing.
    pub(crate) rows: &'a mut [Option<KvCache>],
    pub(crate) layer: usize,
}

impl CacheView<'_> {
    /// The view of a packing whose rows keep nothing.
    pub(crate) fn none() -> Self {
        Self { rows: &mut [], layer: 0 }
    }
}

/// Normed activations and where their rows lie.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    pub(crate) hidden: &'a Input<'a>,
    pub(crate) packing: &'a Packing,
}

impl Attention {
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
        let q = rope.rotate(self.q_proj.forward(queries.hidden, Epilogue::None)?, &queries.packing.positions)?;
        let k = rope.rotate(self.k_proj.forward(keys.hidden, Epilogue::None)?, &keys.packing.positions)?;
        let v = self.v_proj.forward(keys.hidden, Epilogue::None)?;
        let is_even = queries.packing.is_even() && keys.packing.is_even();
        let mixed = if is_even && caches.rows.iter().all(Option::is_none) {
            // Rows of one length that keep nothing are one call.
            let positions = [&queries.packing.positions, &keys.packing.positions];
            self.attend([&q, &k, &v], positions, None, keys.packing.spans.len() as i64)?
        } else {
            self.attend_by_row([&q, &k, &v], queries.packing, keys.packing, caches)?
        };
        self.attn_out.forward(&Input::new(&mixed), Epilogue::Add(residual))
    }

    /// Attention row by row, over what each row computes and what its KV cache holds.
    ///
    /// # Shapes
    /// q (q, d), k and v (k, kv) -> (q, d).
    fn attend_by_row(
        &self,
        [q, k, v]: [&Tensor; 3],
        queries: &Packing,
        keys: &Packing,
        caches: CacheView<'_>,
    ) -> Result<Tensor, ModelError> {
        let mut rows = Vec::with_capacity(keys.spans.len());
        for (row, (query_span, key_span)) in queries.spans.iter().zip(&keys.spans).enumerate() {
            let computed = [key_span.of(k)?, key_span.of(v)?];
            let [k, v] = match caches.rows.get_mut(row) {
                Some(Some(cache)) => cache.update(caches.layer, key_span, computed)?,
                _ => computed,
            };
            let positions = [query_span.of(&queries.positions)?, key_span.of(&keys.positions)?];
            let mask = match &queries.shadow_of {
                Some(shadow_of) if key_span.shadows > 0 => {
                    Some(shadow_mask(&query_span.of(shadow_of)?, k.size()[0], key_span.shadows)?)
                }
                _ => None,
            };
            rows.push(self.attend([&query_span.of(q)?, &k, &v], [&positions[0], &positions[1]], mask, 1)?);
        }
        match rows.as_slice() {
            [row] => Ok(row.shallow_clone()),
            rows => Ok(Tensor::f_cat(rows, 0)?),
        }
    }

    /// Attention within `rows` rows that are equally long, where `mask` allows it.
    ///
    /// # Shapes
    /// q (rows x queries, d), k and v (rows x keys, kv), the positions of both -> (rows x queries, d).
    pub(super) fn attend(
        &self,
        [q, k, v]: [&Tensor; 3],
        positions: [&Tensor; 2],
        mask: Option<Tensor>,
        rows: i64,
    ) -> Result<Tensor, ModelError> {
        let heads = |x: &Tensor| {
            let (tokens, width) = x.size2()?;
            x.f_view([rows, tokens / rows, width / self.head_dim, self.head_dim])?.f_transpose(1, 2)
        };
        let grouped = q.size2()?.1 != k.size2()?.1;
        // libtorch's own causal mask is for queries that are all of the row's tokens.
        let whole = q.size2()?.0 == k.size2()?.0;
        let mask = if self.is_causal && !whole {
            let [queries_at, keys_at] = positions;
            Some(queries_at.f_view([rows, 1, -1, 1])?.f_ge_tensor(&keys_at.f_view([rows, 1, 1, -1])?)?)
        } else {
            mask
        };
        let causal = self.is_causal && whole;
        let (q, k, v) = (heads(q)?, heads(k)?, heads(v)?);
        let short = q.device() == Device::Cpu && q.kind() == Kind::BFloat16 && k.size()[2] <= SHORT;
        let mixed = if q.requires_grad() && short && whole && !grouped {
            attend_short([&q, &k, &v], causal)?
        } else {
            Tensor::f_scaled_dot_product_attention(&q, &k, &v, mask.as_ref(), 0.0, causal, None, grouped)?
        };
        Ok(mixed.f_transpose(1, 2)?.f_reshape([-1, q.size()[1] * self.head_dim])?)
    }
}

/// What each query of a row sees of its `keys` keys, the last of which are `shadows`: a token sees the tokens, a shadow
/// everything but the token in whose place it stands.
///
/// # Shapes
/// shadow_of (queries) -> (1, 1, queries, keys) bool.
fn shadow_mask(shadow_of: &Tensor, keys: i64, shadows: i64) -> Result<Tensor, ModelError> {
    let keys_at = Tensor::f_arange(keys, (Kind::Int64, shadow_of.device()))?.f_view([1, 1, 1, keys])?;
    let shadow_of = shadow_of.f_view([1, 1, -1, 1])?;
    let is_shadow = shadow_of.f_ge(0)?;
    Ok(keys_at.f_ne_tensor(&shadow_of)?.f_logical_and(&is_shadow.f_logical_or(&keys_at.f_lt(keys - shadows)?)?)?)
}

/// Attention of all tokens of equally long rows, with the scores in memory.
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
