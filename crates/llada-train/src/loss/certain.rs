//! A loss that makes a model certain: weighted cross-entropies, and the mean entropy of those predictions that are
//! right.

use llada_model::TrainableTransformer;

use crate::{TrainError, collective::Collective, objective::MaskedBatch};

/// What the mean entropy of right predictions weighs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Certainty {
    pub(crate) weight: f64,
    /// That of the softmax whose entropy is meant.
    pub(crate) temperature: f64,
}

/// What a model is to be more certain of.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The batches with the weights of their entropies.
    pub(super) batches: Vec<MaskedBatch>,
    /// The loss of this process's tokens.
    pub(super) loss: f64,
    /// The number of right predictions in all processes.
    pub(super) correct: f64,
}

impl Certainty {
    /// Weighs the entropies of `batches`, whose cross-entropies have their own weights. The mean of the entropies is over
    /// all processes.
    pub(super) fn weigh(
        self,
        model: &mut TrainableTransformer,
        batches: Vec<MaskedBatch>,
        collective: &mut dyn Collective,
    ) -> Result<Found, TrainError> {
        let mut predictions = Vec::with_capacity(batches.len());
        for batch in &batches {
            predictions.push(model.predictions(&batch.batch(), self.temperature)?);
        }
        let correct = predictions.iter().flatten().filter(|prediction| prediction.is_correct).count();
        let correct = collective.sum(correct as f64)?;
        let weight = self.weight / correct.max(1.0);
        let mut found = Found { correct, ..Found::default() };
        for (batch, predictions) in batches.into_iter().zip(&predictions) {
            let mut weights = Vec::with_capacity(predictions.len());
            for (prediction, cross_entropy) in predictions.iter().zip(batch.weights()) {
                let of_entropy = if prediction.is_correct { weight } else { 0.0 };
                found.loss += f64::from(*cross_entropy) * f64::from(prediction.cross_entropy);
                found.loss += of_entropy * f64::from(prediction.entropy);
                weights.push(of_entropy as f32);
            }
            found.batches.push(batch.with_entropy(weights, self.temperature));
        }
        Ok(found)
    }
}
