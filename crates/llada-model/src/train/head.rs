//! The LM head in training: the cross-entropies of the wanted tokens and their gradient. They are computed in chunks of
//! tokens, so that the logits of all tokens are never in memory at once.

use tch::{Kind, Tensor, no_grad};

use super::certainty::Prediction;
use crate::{
    ModelError,
    torch::{
        gradient::{self, Certainty},
        tensor,
    },
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

/// What the entropies of predictions weigh in a loss.
pub(super) struct EntropyWeights {
    /// (tokens) f32.
    pub(super) weights: Tensor,
    pub(super) temperature: f64,
}

impl Head {
    /// Appends the cross-entropy of each token to `out`. If there are `gradients`, also computes those of the weighted
    /// sum, and of the weighted entropies if there are such.
    ///
    /// # Shapes
    /// hidden (tokens, d), targets (tokens) i64, each below embedding_size, weights (tokens) f32.
    pub(super) fn cross_entropy(
        &self,
        hidden: &Tensor,
        targets: &Tensor,
        weights: &Tensor,
        entropy: Option<&EntropyWeights>,
        mut gradients: Option<&mut Gradients>,
        out: &mut Vec<f32>,
    ) -> Result<(), ModelError> {
        let (tokens, width) = (hidden.size2()?.0, self.weight.size2()?.0);
        let chunk = (CHUNK as i64 / width).max(1);
        for start in (0..tokens).step_by(chunk as usize) {
            let part = |x: &Tensor| x.f_narrow(0, start, chunk.min(tokens - start));
            let (hidden, targets, weights) = (part(hidden)?, part(targets)?, part(weights)?);
            no_grad(|| -> Result<(), ModelError> {
                let mut logits = self.logits(&hidden)?;
                let learn = gradients.is_some();
                let mut of_entropy = None;
                if let Some(EntropyWeights { weights, temperature }) = entropy.filter(|_| learn) {
                    let certainty = Certainty::new(&logits, &targets, *temperature)?;
                    of_entropy = Some(certainty.gradient(&part(weights)?, *temperature)?);
                }
                tensor::append(&gradient::cross_entropy(&mut logits, &targets, &weights, learn)?, out)?;
                let Some(gradients) = gradients.as_deref_mut() else { return Ok(()) };
                if let Some(of_entropy) = of_entropy {
                    _ = logits.f_add_(&of_entropy.f_to_kind(logits.kind())?)?;
                }
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

    /// Returns the cross-entropy of each token, and how certain its prediction is at a temperature.
    ///
    /// # Shapes
    /// hidden (tokens, d), targets (tokens) i64 -> one per token.
    pub(super) fn predictions(
        &self,
        hidden: &Tensor,
        targets: &Tensor,
        temperature: f64,
    ) -> Result<Vec<Prediction>, ModelError> {
        let (tokens, width) = (hidden.size2()?.0, self.weight.size2()?.0);
        let chunk = (CHUNK as i64 / width).max(1);
        let mut predictions = Vec::with_capacity(tokens as usize);
        for start in (0..tokens).step_by(chunk as usize) {
            let part = |x: &Tensor| x.f_narrow(0, start, chunk.min(tokens - start));
            let (hidden, targets) = (part(hidden)?, part(targets)?);
            let mut logits = self.logits(&hidden)?;
            let certainty = Certainty::new(&logits, &targets, temperature)?;
            let none = Tensor::f_zeros_like(&certainty.entropy)?;
            let [mut losses, mut entropies, mut correct] = [const { Vec::new() }; 3];
            tensor::append(&gradient::cross_entropy(&mut logits, &targets, &none, false)?, &mut losses)?;
            tensor::append(&certainty.entropy, &mut entropies)?;
            tensor::append(&certainty.is_correct, &mut correct)?;
            for ((cross_entropy, entropy), is_correct) in losses.into_iter().zip(entropies).zip(correct) {
                predictions.push(Prediction { cross_entropy, entropy, is_correct: is_correct > 0.0 });
            }
        }
        Ok(predictions)
    }

    /// # Shapes
    /// hidden (tokens, d) -> (tokens, embedding_size).
    fn logits(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        Ok(hidden.f_linear(&self.weight, self.bias.as_ref())?)
    }
}
