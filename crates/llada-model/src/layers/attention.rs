//! Bidirectional multi-head attention with grouped keys and values; no mask of any kind.

use tch::Tensor;

use super::{linear::Linear, packing::Packing, rope::Rope};
use crate::{ModelError, torch::shim::Epilogue};

/// Projections of one block's attention.
#[derive(Debug)]
pub(crate) struct Attention {
    pub(crate) q_proj: Linear,
    pub(crate) k_proj: Linear,
    pub(crate) v_proj: Linear,
    pub(crate) attn_out: Linear,
    pub(crate) head_dim: i64,
}

/// Normed activations and where their rows lie.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    pub(crate) hidden: &'a Tensor,
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
        residual: &Tensor,
    ) -> Result<Tensor, ModelError> {
        let q = rope.rotate(self.q_proj.forward(queries.hidden, Epilogue::None)?, &queries.packing.positions)?;
        let k = rope.rotate(self.k_proj.forward(keys.hidden, Epilogue::None)?, &keys.packing.positions)?;
        let v = self.v_proj.forward(keys.hidden, Epilogue::None)?;
        let mut mixed = Vec::with_capacity(queries.packing.spans.len());
        for (&queries, &keys) in queries.packing.spans.iter().zip(&keys.packing.spans) {
            let (q, k, v) = (self.heads(&q, queries)?, self.heads(&k, keys)?, self.heads(&v, keys)?);
            let grouped = q.size()[1] != k.size()[1];
            let row = Tensor::f_scaled_dot_product_attention(&q, &k, &v, None::<&Tensor>, 0.0, false, None, grouped)?;
            mixed.push(row.f_transpose(1, 2)?.f_reshape([queries.1, -1])?);
        }
        let mixed = match mixed.as_slice() {
            [row] => row.shallow_clone(),
            rows => Tensor::f_cat(rows, 0)?,
        };
        self.attn_out.forward(&mixed, Epilogue::Add(residual))
    }

    /// One row's stretch of a projection, by head.
    ///
    /// # Shapes
    /// x (tokens, heads x head_dim) -> (1, heads, length, head_dim), a view.
    fn heads(&self, x: &Tensor, (start, length): (i64, i64)) -> Result<Tensor, ModelError> {
        let row = x.f_narrow(0, start, length)?;
        Ok(row.f_view([1, length, -1, self.head_dim])?.f_transpose(1, 2)?)
    }
}
