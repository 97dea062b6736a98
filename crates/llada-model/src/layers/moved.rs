//! A block of which, between full forwards, only the tokens are computed whose values have moved the most (dLLM-Cache,
//! arXiv 2506.06295, section 3.3): for the others it adds to the residual stream what it added then.

use tch::{Kind, Tensor};

use super::{block::Block, linear::Input, rope::Rope};
use crate::{ModelError, torch::shim::Epilogue};

/// What a row keeps from one such forward to the next.
#[derive(Debug)]
pub(crate) struct KeptRow {
    /// Tokens of the row.
    pub(crate) length: usize,
    pub(crate) layers: Vec<KeptLayer>,
}

/// What it keeps of one layer, written in place.
#[derive(Debug)]
pub(crate) struct KeptLayer {
    /// (length, kv heads x head_dim), rotated.
    k: Tensor,
    /// (length, kv heads x head_dim).
    v: Tensor,
    /// (length, d): what attention added to the residual stream.
    by_attention: Tensor,
    /// (length, d): what the MLP added.
    by_mlp: Tensor,
}

/// The part of a row that a forward is about.
pub(crate) struct Part {
    /// (tokens) i64: the positions start..start + tokens.
    pub(crate) positions: Tensor,
    pub(crate) start: i64,
    /// How many of them are computed.
    pub(crate) count: i64,
}

impl Block {
    /// The block over a whole row, and what is to be kept of it.
    ///
    /// # Shapes
    /// x (tokens, d), positions (tokens) i64 -> (tokens, d).
    pub(crate) fn forward_kept(
        &self,
        x: &Tensor,
        positions: &Tensor,
        rope: &Rope,
    ) -> Result<(Tensor, KeptLayer), ModelError> {
        let hidden = self.attn_norm.forward(x)?;
        let hidden = Input::new(&hidden);
        let v = self.attention.v_proj.forward(&hidden, Epilogue::None)?;
        let [q, k] = self.queries_and_keys(&hidden, positions, rope)?;
        let mixed = self.attention.attend([&q, &k, &v], [positions, positions], None, 1)?;
        let by_attention = self.attention.attn_out.forward(&Input::new(&mixed), Epilogue::None)?;
        let x = x.f_add(&by_attention)?;
        let by_mlp = self.mlp.forward(&self.ff_norm.forward(&x)?, Epilogue::None)?;
        Ok((x.f_add(&by_mlp)?, KeptLayer { k, v, by_attention, by_mlp }))
    }

    /// The block over `part` of a row, the rest of which `kept` has.
    ///
    /// # Shapes
    /// x (tokens, d) -> (tokens, d).
    pub(crate) fn forward_moved(
        &self,
        x: &Tensor,
        part: &Part,
        rope: &Rope,
        kept: &KeptLayer,
    ) -> Result<Tensor, ModelError> {
        let &Part { ref positions, start, count } = part;
        let tokens = positions.size1()?;
        let of_part = |kept: &Tensor| kept.f_narrow(0, start, tokens);
        let hidden = self.attn_norm.forward(x)?;
        let v = self.attention.v_proj.forward(&Input::new(&hidden), Epilogue::None)?;
        let moved = most_moved(&v, &of_part(&kept.v)?, count)?;
        of_part(&kept.v)?.f_copy_(&v)?;
        let at = positions.f_index_select(0, &moved)?;
        let [q, k] = self.queries_and_keys(&Input::new(&hidden.f_index_select(0, &moved)?), &at, rope)?;
        let put = |kept: &Tensor, computed: &Tensor| of_part(kept)?.f_index_copy_(0, &moved, computed).map(drop);
        put(&kept.k, &k)?;
        let mixed = self.attention.attend([&q, &kept.k, &kept.v], [&at, &at], None, 1)?;
        put(&kept.by_attention, &self.attention.attn_out.forward(&Input::new(&mixed), Epilogue::None)?)?;
        let x = x.f_add(&of_part(&kept.by_attention)?)?;
        let hidden = self.ff_norm.forward(&x.f_index_select(0, &moved)?)?;
        put(&kept.by_mlp, &self.mlp.forward(&hidden, Epilogue::None)?)?;
        Ok(x.f_add(&of_part(&kept.by_mlp)?)?)
    }

    fn queries_and_keys(&self, hidden: &Input<'_>, positions: &Tensor, rope: &Rope) -> Result<[Tensor; 2], ModelError> {
        let rotated = |x: Tensor| rope.rotate(x, positions);
        let attention = &self.attention;
        let q = rotated(attention.q_proj.forward(hidden, Epilogue::None)?)?;
        Ok([q, rotated(attention.k_proj.forward(hidden, Epilogue::None)?)?])
    }
}

/// The `count` tokens whose values point the least in the direction of the kept ones, ascending; ties go to the first.
///
/// # Shapes
/// v, kept (tokens, width) -> (count) i64.
fn most_moved(v: &Tensor, kept: &Tensor, count: i64) -> Result<Tensor, ModelError> {
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
        let moved = |count| Ok::<_, ModelError>(Vec::<i64>::try_from(most_moved(&v, &kept, count)?)?);
        assert_eq!(moved(1)?, [3]);
        assert_eq!(moved(2)?, [1, 3]);
        assert_eq!(moved(4)?, [0, 1, 2, 3]);
        assert_eq!(moved(5)?, [0, 1, 2, 3, 4]);
        Ok(())
    }
}
