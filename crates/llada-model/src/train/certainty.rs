//! How certain a model in training is of its predictions, for losses that make it more certain of those that are right.

use tch::no_grad;

use super::{TrainableTransformer, TrainingBatch};
use crate::ModelError;

/// What the entropies of predictions weigh in a loss, beside the cross-entropies.
#[derive(Debug, Clone, Copy)]
pub struct EntropyTerm<'a> {
    /// The weight of each wanted token's entropy.
    pub weights: &'a [f32],
    /// The temperature of the softmax that the entropies are of.
    pub temperature: f64,
}

/// A prediction of a wanted token.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// The cross-entropy of the target, in nats.
    pub cross_entropy: f32,
    /// The entropy of the prediction at a temperature, in nats.
    pub entropy: f32,
    /// Whether the most probable token is the target.
    pub is_correct: bool,
}

impl TrainableTransformer {
    /// Returns the predictions of the wanted tokens, with entropies at `temperature`, without a gradient.
    ///
    /// # Errors
    /// Those of [`cross_entropy`](Self::cross_entropy).
    pub fn predictions(&mut self, batch: &TrainingBatch<'_>, temperature: f64) -> Result<Vec<Prediction>, ModelError> {
        let wanted = batch.wanted.len();
        let Some(batch) = self.prepare(batch)? else { return Ok(Vec::new()) };
        let mut predictions = no_grad(|| {
            let x = self.embed(&batch.ids)?;
            let hidden = self.run(0..self.config.num_hidden_layers, x, &batch, None, None)?;
            self.head()?.predictions(&hidden, &batch.targets, temperature)
        })?;
        predictions.truncate(wanted);
        Ok(predictions)
    }
}
