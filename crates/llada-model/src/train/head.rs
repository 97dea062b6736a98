//! The LM head in training: the cross-entropies of the wanted tokens and their gradient. They are computed in chunks of
//! tokens, so that the logits of all tokens are never in memory at once.

use tch::{Kind, Tensor, no_grad};

use crate::{
    ModelError,
    torch::{gradient, tensor},
};

/// The number of logits in memory at a time. Its 4 Mi are 8 MiB in bf16, which stay in a processor's cache.
const CHUNK: usize = 1 << 22;

/// The head, which computes logits = hidden weight^T + bias in the dtype of both.
pub(super) struct Head {
    /// (embedding_size, d).
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
}

/// The destinations of the gradients of a loss.
pub(super) struct Gradients {
    /// (embedding_size, d) f32, to which the gradient is added.
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    /// (tokens, d) in the dtype of the hidden states, which is overwritten.
    pub(super) hidden: Tensor,
}

impl Head {
    /// Appends the cross-entropy of each token to `out`. If there are `gradients`, also computes those of the weighted
    /// sum.
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
