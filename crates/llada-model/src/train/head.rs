//! The LM head in training: the cross-entropies of the wanted tokens and their gradient. They are computed in chunks of
//! tokens, so that the logits of all tokens are never in memory at once.

use tch::{Kind, Tensor, no_grad};

use super::{TrainableTransformer, batch::PreparedBatch, certainty::Prediction};
use crate::{
    ModelError,
    adapter::targets::{a_of, b_of},
    layers::lora::Lora,
    torch::{
        gradient::{self, Certainty},
        tensor,
    },
    weights::role::Role,
};

/// The number of logits in memory at a time. Its 4 Mi are 8 MiB in bf16, which stay in a processor's cache.
const CHUNK: usize = 1 << 22;

/// The head, which computes logits = hidden weight^T + bias in the dtype of both, and what an adapter adds to them.
pub(super) struct Head {
    /// (embedding_size, d).
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) lora: Option<Lora>,
}

/// The destinations of the gradients of a loss; none for what is frozen.
pub(super) struct Gradients {
    /// (embedding_size, d) f32, to which the gradient is added.
    pub(super) weight: Option<Tensor>,
    pub(super) bias: Option<Tensor>,
    /// Matrices A and B of the adapter, to which the gradients are added.
    pub(super) lora: Option<[Tensor; 2]>,
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
                if let (Some(lora), Some(of_lora)) = (&self.lora, &mut gradients.lora) {
                    let slope = lora_gradient(lora, &hidden, &logits, of_lora)?;
                    _ = part(&gradients.hidden)?.f_add_(&slope)?;
                }
                if let Some(weight) = &mut gradients.weight {
                    _ = weight.f_add_(&logits.f_tr()?.f_matmul(&hidden)?.f_to_kind(Kind::Float)?)?;
                }
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
        let logits = hidden.f_linear(&self.weight, self.bias.as_ref())?;
        match &self.lora {
            Some(lora) => lora.add(hidden, logits),
            None => Ok(logits),
        }
    }
}

/// Adds the gradients of an adapter's matrices to `to`, and returns the part of the hidden states' gradient that goes
/// through it.
///
/// # Shapes
/// hidden (tokens, d), slope of the logits (tokens, embedding_size) -> (tokens, d).
fn lora_gradient(lora: &Lora, hidden: &Tensor, slope: &Tensor, to: &mut [Tensor; 2]) -> Result<Tensor, ModelError> {
    let of_low = slope.f_matmul(&lora.b)?.f_mul_scalar(lora.scale)?;
    let [a, b] = to;
    _ = a.f_add_(&of_low.f_tr()?.f_matmul(hidden)?.f_to_kind(Kind::Float)?)?;
    _ = b.f_add_(&slope.f_tr()?.f_matmul(&lora.low(hidden)?)?.f_to_kind(Kind::Float)?)?;
    Ok(of_low.f_matmul(&lora.a)?)
}

impl TrainableTransformer {
    /// Returns the gradient of the hidden states, and accumulates that of the head.
    ///
    /// # Shapes
    /// hidden (wanted, d) -> (wanted, d).
    pub(super) fn head_gradient(
        &self,
        hidden: &Tensor,
        batch: &PreparedBatch,
        out: &mut Vec<f32>,
    ) -> Result<Tensor, ModelError> {
        let (role, names) = self.head_names();
        let gradient = |name: String| self.variables.get(&name).map(Tensor::f_grad).transpose();
        let module = self.module(role);
        let mut gradients = Gradients {
            weight: gradient(names.0)?,
            bias: names.1.map(gradient).transpose()?.flatten(),
            lora: match [gradient(a_of(&module.name))?, gradient(b_of(&module.name))?] {
                [Some(a), Some(b)] => Some([a, b]),
                _ => None,
            },
            hidden: hidden.f_empty_like()?,
        };
        let (weights, entropy) = (&batch.weights, batch.entropy.as_ref());
        self.head()?.cross_entropy(hidden, &batch.targets, weights, entropy, Some(&mut gradients), out)?;
        Ok(gradients.hidden)
    }

    /// Returns the head in the dtype of computation, without a gradient.
    pub(super) fn head(&self) -> Result<Head, ModelError> {
        let (role, (weight, bias)) = self.head_names();
        let (module, kind) = (self.module(role), self.dtype.kind());
        let detached = |tensor: Tensor| tensor.f_detach();
        let lora = self
            .lora(&module)?
            .map(|Lora { a, b, scale, .. }| Ok::<_, ModelError>(Lora::new(a.f_detach()?, b.f_detach()?, scale)));
        let lora = lora.transpose()?;
        if let Some(weight) = self.learned(&module, &weight)? {
            let bias = bias.map(|bias| self.learned(&module, &bias)).transpose()?.flatten();
            return Ok(Head { weight: detached(weight)?, bias: bias.map(detached).transpose()?, lora });
        }
        if role == Role::Embedding {
            return Ok(Head { weight: self.tensor(role)?, bias: None, lora });
        }
        let Some(adapted) = &self.adapted else { return Err(ModelError::config("n_layers", "no head")) };
        let (weight, bias) = adapted.linear(role)?;
        let bias = bias.map(|bias| bias.f_to_kind(kind)).transpose()?;
        Ok(Head { weight: weight.dequantize(kind)?, bias, lora })
    }

    /// Returns the role of the head, which is the embedding if the two are tied, and the names of its weight and bias.
    fn head_names(&self) -> (Role, (String, Option<String>)) {
        let role = if self.config.tie_word_embeddings { Role::Embedding } else { Role::Head };
        let module = self.module(role);
        let has_bias = self.config.biases.head && role == Role::Head;
        (role, (module.weight(role), has_bias.then(|| module.bias())))
    }
}
