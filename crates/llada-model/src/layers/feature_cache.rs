//! dLLM-Cache (arXiv 2506.06295, section 3.3).
//!
//! A full forward records what each block adds to the residual stream. A partial forward then computes a block only for
//! the tokens whose values have changed most since they were last recorded; for all others it adds the recorded outputs
//! again.

use tch::{Kind, Tensor};

use super::{block::TransformerBlock, linear::Input, rope::Rope, visibility::Visibility};
use crate::{ModelError, torch::shim::Epilogue};

/// The dLLM-Cache state of one row.
#[derive(Debug)]
pub(crate) struct FeatureCache {
    /// The length of the row, in tokens.
    pub(crate) length: usize,
    /// The positions of its tokens, if the row is a part of a sequence.
    pub(crate) positions: Option<Vec<usize>>,
    pub(crate) layers: Vec<FeatureLayer>,
}

/// The state of one layer. Partial forwards overwrite it in place.
#[derive(Debug)]
pub(crate) struct FeatureLayer {
    /// (length, kv heads x head_dim), after rotation.
    k: Tensor,
    /// (length, kv heads x head_dim).
    v: Tensor,
    /// (length, d): the output of attention, as it was added to the residual stream.
    attention_out: Tensor,
    /// (length, d): the output of the feed-forward layer, as it was added to the residual stream.
    mlp_out: Tensor,
}

/// The part of a row that a forward covers.
pub(crate) struct Part {
    /// (tokens) i64: the positions of the tokens start..start + tokens of the row.
    pub(crate) positions: Tensor,
    pub(crate) start: i64,
    /// The number of tokens in the part that are recomputed.
    pub(crate) count: i64,
}

impl TransformerBlock {
    /// Computes the block for a whole row, and returns its output and the state for later partial forwards.
    ///
    /// # Shapes
    /// x (tokens, d), positions (tokens) i64 -> (tokens, d).
    pub(crate) fn forward_recording(
        &self,
        x: &Tensor,
        positions: &Tensor,
        rope: &Rope,
    ) -> Result<(Tensor, FeatureLayer), ModelError> {
        let hidden = self.attn_norm.forward(x)?;
        let hidden = Input::new(&hidden);
        let (q, k) =
            (self.attention.queries(&hidden, positions, rope)?, self.attention.keys(&hidden, positions, rope)?);
        let v = self.attention.values(&hidden)?;
        let mixed = self.attention.attend([&q, &k, &v], &Visibility::All, 1)?;
        let attention_out = self.attention.output(&mixed, Epilogue::None)?;
        let x = x.f_add(&attention_out)?;
        let mlp_out = self.feed_forward.forward(&self.ff_norm.forward(&x)?, Epilogue::None)?;
        Ok((x.f_add(&mlp_out)?, FeatureLayer { k, v, attention_out, mlp_out }))
    }

    /// Computes the block for `part` of a row whose other positions are in `cache`.
    ///
    /// # Shapes
    /// x (tokens, d) -> (tokens, d).
    pub(crate) fn forward_partial(
        &self,
        x: &Tensor,
        part: &Part,
        rope: &Rope,
        cache: &FeatureLayer,
    ) -> Result<Tensor, ModelError> {
        let hidden = self.attn_norm.forward(x)?;
        // Values are cheap and depend on a token's hidden state alone, so they are computed for the whole part: their
        // change tells which tokens are stale, and the new ones are kept for all tokens.
        let v = self.attention.values(&Input::new(&hidden))?;
        let mut kept = part.of(&cache.v)?;
        let stale = least_similar(&v, &kept, part.count)?;
        kept.f_copy_(&v)?;
        // From here on `hidden` is that of the stale tokens only.
        let at = part.positions.f_index_select(0, &stale)?;
        let hidden = hidden.f_index_select(0, &stale)?;
        let hidden = Input::new(&hidden);
        let (q, k) = (self.attention.queries(&hidden, &at, rope)?, self.attention.keys(&hidden, &at, rope)?);
        part.store(&cache.k, &stale, &k)?;
        // Stale tokens attend to all tokens of the row. The keys of the others are those they had when last recomputed.
        let mixed = self.attention.attend([&q, &cache.k, &cache.v], &Visibility::All, 1)?;
        part.store(&cache.attention_out, &stale, &self.attention.output(&mixed, Epilogue::None)?)?;
        let x = x.f_add(&part.of(&cache.attention_out)?)?;
        let hidden = self.ff_norm.forward(&x.f_index_select(0, &stale)?)?;
        part.store(&cache.mlp_out, &stale, &self.feed_forward.forward(&hidden, Epilogue::None)?)?;
        Ok(x.f_add(&part.of(&cache.mlp_out)?)?)
    }
}

impl Part {
    /// Returns the rows of a cached tensor that belong to the part, as a view.
    ///
    /// # Shapes
    /// cached (length, width) -> (tokens, width).
    fn of(&self, cached: &Tensor) -> Result<Tensor, ModelError> {
        Ok(cached.f_narrow(0, self.start, self.positions.size1()?)?)
    }

    /// Overwrites the cached rows of the tokens `stale` with those that were computed.
    ///
    /// # Shapes
    /// cached (length, width), stale (count) i64, computed (count, width).
    fn store(&self, cached: &Tensor, stale: &Tensor, computed: &Tensor) -> Result<(), ModelError> {
        _ = self.of(cached)?.f_index_copy_(0, stale, computed)?;
        Ok(())
    }
}

/// Returns the `count` tokens whose values have the lowest cosine similarity to the kept ones, in ascending order. Of
/// equal similarities the first are taken.
///
/// # Shapes
/// v, kept (tokens, width) -> (count) i64.
fn least_similar(v: &Tensor, kept: &Tensor, count: i64) -> Result<Tensor, ModelError> {
    let tokens = v.size2()?.0;
    if count >= tokens {
        return Ok(Tensor::f_arange(tokens, (Kind::Int64, v.device()))?);
    }
    let [v, kept] = [v, kept].map(|x| x.f_to_kind(Kind::Float));
    let similarity = Tensor::f_cosine_similarity(&v?, &kept?, 1, 1e-8)?;
    let order = similarity.f_argsort_stable(true, 0, false)?;
    Ok(order.f_narrow(0, 0, count)?.f_sort(0, false)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_similar_move() -> Result<(), ModelError> {
        let kept = Tensor::from_slice2(&[[1.0_f32, 0.0], [0.0, 2.0], [1.0, 1.0], [3.0, 0.0], [0.0, 1.0]]);
        let v = Tensor::from_slice2(&[[2.0_f32, 0.0], [2.0, 0.0], [1.0, 0.9], [-3.0, 0.0], [0.0, 1.0]]);
        let moved = |count| Ok::<_, ModelError>(Vec::<i64>::try_from(least_similar(&v, &kept, count)?)?);
        assert_eq!(moved(1)?, [3]);
        assert_eq!(moved(2)?, [1, 3]);
        assert_eq!(moved(4)?, [0, 1, 2, 3]);
        assert_eq!(moved(5)?, [0, 1, 2, 3, 4]);
        Ok(())
    }
}
