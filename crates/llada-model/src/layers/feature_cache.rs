//! A block of which, between full forwards, only the tokens are computed whose values have moved the most (dLLM-Cache,
//! arXiv 2506.06295, section 3.3): for the others it adds to the residual stream what it added then.

use tch::{Kind, Tensor};

use super::{block::TransformerBlock, linear::Input, rope::Rope, visibility::Visibility};
use crate::{ModelError, torch::shim::Epilogue};

/// dLLM-Cache state of one row.
#[derive(Debug)]
pub(crate) struct FeatureCache {
    /// Tokens of the row.
    pub(crate) length: usize,
    pub(crate) layers: Vec<FeatureLayer>,
}

/// The state of one layer, written in place.
#[derive(Debug)]
pub(crate) struct FeatureLayer {
    /// (length, kv heads x head_dim), rotated.
    k: Tensor,
    /// (length, kv heads x head_dim).
    v: Tensor,
    /// (length, d): what attention added to the residual stream.
    attention_out: Tensor,
    /// (length, d): what the MLP added.
    mlp_out: Tensor,
}

/// The part of a row that a forward is about.
pub(crate) struct Part {
    /// (tokens) i64: the positions start..start + tokens.
    pub(crate) positions: Tensor,
    pub(crate) start: i64,
    /// How many of them are computed.
    pub(crate) count: i64,
}

impl TransformerBlock {
    /// The block over a whole row, and the state that it leaves.
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

    /// The block over `part` of a row, the rest of which `cache` has.
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
        let &Part { ref positions, start, count } = part;
        let tokens = positions.size1()?;
        let of_part = |cached: &Tensor| cached.f_narrow(0, start, tokens);
        let hidden = self.attn_norm.forward(x)?;
        let v = self.attention.values(&Input::new(&hidden))?;
        let stale = least_similar(&v, &of_part(&cache.v)?, count)?;
        of_part(&cache.v)?.f_copy_(&v)?;
        let at = positions.f_index_select(0, &stale)?;
        let hidden = hidden.f_index_select(0, &stale)?;
        let hidden = Input::new(&hidden);
        let (q, k) = (self.attention.queries(&hidden, &at, rope)?, self.attention.keys(&hidden, &at, rope)?);
        let put = |cached: &Tensor, computed: &Tensor| of_part(cached)?.f_index_copy_(0, &stale, computed).map(drop);
        put(&cache.k, &k)?;
        let mixed = self.attention.attend([&q, &cache.k, &cache.v], &Visibility::All, 1)?;
        put(&cache.attention_out, &self.attention.output(&mixed, Epilogue::None)?)?;
        let x = x.f_add(&of_part(&cache.attention_out)?)?;
        let hidden = self.ff_norm.forward(&x.f_index_select(0, &stale)?)?;
        put(&cache.mlp_out, &self.feed_forward.forward(&hidden, Epilogue::None)?)?;
        Ok(x.f_add(&of_part(&cache.mlp_out)?)?)
    }
}

/// The `count` tokens whose values point the least in the direction of the kept ones, ascending; ties go to the first.
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
