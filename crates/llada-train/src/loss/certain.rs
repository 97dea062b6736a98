//! A loss that makes a model certain: weighted cross-entropies, and the mean entropy of those predictions that are
//! right.

use llada_core::rng::Noise;
use llada_model::TrainableTransformer;

use crate::{TrainError, collective::Collective, objective::MaskedBatch};

/// What the mean entropy of right predictions weighs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Certainty {
    pub(crate) weight: f64,
    /// That of the softmax whose entropy is meant.
    pub(crate) temperature: f64,
}

/// What an accumulation has found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    /// The loss of this process's tokens.
    pub(super) loss: f64,
    /// The number of right predictions in all processes.
    pub(super) correct: f64,
}

impl Certainty {
    /// Adds the gradient of the loss of `batches` in step `step`, with their own weights of cross-entropies, to the
    /// model's. The mean of the entropies is over all processes.
    pub(super) fn accumulate(
        self,
        model: &mut TrainableTransformer,
        batches: &[MaskedBatch],
        noise: Noise,
        step: u64,
        collective: &mut dyn Collective,
    ) -> Result<Found, TrainError> {
        let mut predictions = Vec::with_capacity(batches.len());
        for batch in batches {
            predictions.push(model.predictions(&batch.batch(), self.temperature)?);
        }
        let correct = predictions.iter().flatten().filter(|prediction| prediction.is_correct).count();
        let correct = collective.sum(correct as f64)?;
        let weight = self.weight / correct.max(1.0);
        let mut loss = 0.0;
        for (batch, predictions) in batches.iter().zip(&predictions) {
            let mut weights = Vec::with_capacity(predictions.len());
            for (prediction, cross_entropy) in predictions.iter().zip(batch.weights()) {
                let of_entropy = if prediction.is_correct { weight } else { 0.0 };
                loss += f64::from(*cross_entropy) * f64::from(prediction.cross_entropy);
                loss += of_entropy * f64::from(prediction.entropy);
                weights.push(of_entropy as f32);
            }
            model.key_dropout(noise, step as u32, batch.first_row());
            model.accumulate(&batch.clone().with_entropy(weights, self.temperature).batch())?;
        }
        Ok(Found { loss, correct })
    }
}
