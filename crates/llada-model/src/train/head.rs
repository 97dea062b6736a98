//! The LM head in training: cross-entropies of wanted tokens and their gradient, a chunk of tokens at a time, so that
//! the full logits never exist.

use tch::{Kind, Tensor, no_grad};

use crate::{
    ModelError,
    torch::{gradient, tensor},
};

/// Logits that exist at once: 4 Mi, which is 8 MiB in bf16 and stays in a processor's cache on the way.
const CHUNK: usize = 1 << 22;

/// The head: logits = hidden weight^T + bias, in the dtype of both.
pub(super) struct Head {
    /// (embedding_size, d).
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
}

/// Where the gradients of a loss go.
pub(super) struct Gradients {
    /// (embedding_size, d) f32, added to.
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    /// (tokens, d) in the dtype of the hidden states, overwritten.
    pub(super) hidden: Tensor,
}

impl Head {
    /// Appends each token's cross-entropy to `out`; with `gradients`, also those of the weighted sum.
    ///
    /// # Shapes
    /// hidden (tokens, d), targets (tokens) i64, each below embedding_size, weights (tokens) f32.
    pub(super) fn cross_entropy(
        &self,
        hidden: &Tensor,
        targets: &Tensor,
        weights: &Tensor,
        mut gradients: Option<&mut Gradients>,
        out: &mut Vec<f32>,
    ) -> Result<(), ModelError> {
        let (tokens, width) = (hidden.size2()?.0, self.weight.size2()?.0);
        let chunk = (CHUNK as i64 / width).max(1);
        for start in (0..tokens).step_by(chunk as usize) {
            let part = |x: &Tensor| x.f_narrow(0, start, chunk.min(tokens - start));
            let (hidden, targets, weights) = (part(hidden)?, part(targets)?, part(weights)?);
            no_grad(|| -> Result<(), ModelError> {
                let mut logits = hidden.f_linear(&self.weight, self.bias.as_ref())?;
                let learn = gradients.is_some();
                tensor::append(&gradient::cross_entropy(&mut logits, &targets, &weights, learn)?, out)?;
                let Some(gradients) = gradients.as_deref_mut() else { return Ok(()) };
                part(&gradients.hidden)?.f_copy_(&logits.f_matmul(&self.weight)?)?;
                _ = gradients.weight.f_add_(&logits.f_tr()?.f_matmul(&hidden)?.f_to_kind(Kind::Float)?)?;
                if let Some(bias) = &mut gradients.bias {
                    _ = bias.f_add_(&logits.f_sum_dim_intlist(0, false, Kind::Float)?)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
