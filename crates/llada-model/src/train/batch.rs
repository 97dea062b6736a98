//! Batches for training: rows of ids, the tokens that are predicted, and the weight of each.

use tch::Tensor;

use super::{EntropyTerm, TrainableTransformer, head::EntropyWeights};
use crate::{
    ModelConfig, ModelError,
    layers::packing::{Packing, Piece, ROUND_IN_TRAINING, round_up},
};

/// Rows of equal length with the tokens of them that are predicted.
#[derive(Debug, Clone, Copy)]
pub struct TrainingBatch<'a> {
    /// The input ids, row after row.
    pub ids: &'a [u32],
    /// The number of tokens per row, which divides the number of `ids`.
    pub row_length: usize,
    /// The tokens that are predicted, as ascending indices into `ids`. For an autoregressive model these are the tokens
    /// before the predicted ones, because its logits are not shifted here.
    pub wanted: &'a [usize],
    /// The correct id for each wanted token.
    pub targets: &'a [u32],
    /// The weight of each wanted token's cross-entropy in the loss.
    pub weights: &'a [f32],
    /// What the entropies of the predictions weigh, if they do.
    pub entropy: Option<EntropyTerm<'a>>,
    /// The part of a step's rows that these are, 1 for all. It is the weight of the routers' auxiliary loss, which is a
    /// mean over tokens.
    pub share: f64,
}

/// A batch that has been checked and copied to the device.
pub(super) struct PreparedBatch {
    /// (tokens) i64.
    pub(super) ids: Tensor,
    pub(super) packing: Packing,
    pub(super) row_length: usize,
    /// (wanted) i64, rounded up by repeating the last. Repetitions have weight 0.
    pub(super) wanted: Tensor,
    /// (wanted) i64.
    pub(super) targets: Tensor,
    /// (wanted) f32.
    pub(super) weights: Tensor,
    pub(super) entropy: Option<EntropyWeights>,
}

impl TrainingBatch<'_> {
    /// Refuses a batch whose parts do not fit together, or do not fit `config`.
    fn check(&self, config: &ModelConfig) -> Result<(), ModelError> {
        let &ModelConfig { max_sequence_length, vocab_size, .. } = config;
        let &Self { ids, row_length, wanted, targets, weights, .. } = self;
        let refuse = |message: String| Err(ModelError::Batch { message });
        if row_length == 0 || !ids.len().is_multiple_of(row_length) {
            return refuse(format!("{} ids are not rows of {row_length}", ids.len()));
        }
        if row_length > max_sequence_length {
            return Err(ModelError::TooLong { length: row_length, max_sequence_length });
        }
        for (index, &id) in ids.iter().chain(targets).enumerate() {
            if !config.knows(id) {
                return Err(ModelError::TokenOutOfRange { id, position: index % row_length, vocab_size });
            }
        }
        if targets.len() != wanted.len() || weights.len() != wanted.len() {
            let (targets, weights) = (targets.len(), weights.len());
            return refuse(format!("{} wanted tokens, {targets} targets, {weights} weights", wanted.len()));
        }
        if let Some(EntropyTerm { weights, temperature }) = self.entropy {
            if weights.len() != wanted.len() {
                return refuse(format!("{} wanted tokens, {} weights of entropies", wanted.len(), weights.len()));
            }
            if !(temperature > 0.0 && temperature.is_finite()) {
                return refuse(format!("the temperature of the entropies is {temperature}"));
            }
        }
        if !wanted.is_sorted_by(|a, b| a < b) || wanted.last().is_some_and(|&last| last >= ids.len()) {
            return refuse(format!("wanted tokens are not ascending indices below {}", ids.len()));
        }
        Ok(())
    }
}

impl TrainableTransformer {
    /// Checks the batch and copies it to the model's device. Returns `None` if no token is wanted.
    pub(super) fn prepare(&mut self, batch: &TrainingBatch<'_>) -> Result<Option<PreparedBatch>, ModelError> {
        batch.check(&self.config)?;
        let &TrainingBatch { ids, row_length, wanted, targets, weights, entropy, .. } = batch;
        if wanted.is_empty() {
            return Ok(None);
        }
        self.rope.reach(row_length)?;
        let padded = |weights: &[f32]| {
            let mut weights = weights.to_vec();
            weights.resize(wanted.len().next_multiple_of(ROUND_IN_TRAINING), 0.0);
            Tensor::f_from_slice(&weights)?.f_to_device(self.device)
        };
        let weights = padded(weights)?;
        let mut entropy_weights = None;
        if let Some(EntropyTerm { weights, temperature }) = entropy {
            entropy_weights = Some(EntropyWeights { weights: padded(weights)?, temperature });
        }
        let wanted = round_up(wanted, ROUND_IN_TRAINING).map(|token| self.predicted_from(token, row_length));
        let targets = round_up(targets, ROUND_IN_TRAINING).map(i64::from);
        let pieces = vec![Piece::whole(row_length); ids.len() / row_length];
        Ok(Some(PreparedBatch {
            packing: Packing::new(&pieces, self.device)?,
            row_length,
            ids: self.integers(ids.iter().map(|&id| i64::from(id)))?,
            wanted: self.integers(wanted)?,
            targets: self.integers(targets)?,
            weights,
            entropy: entropy_weights,
        }))
    }

    /// Returns the token whose hidden state predicts `token`, in rows of `row_length` tokens.
    fn predicted_from(&self, token: usize, row_length: usize) -> i64 {
        let position = token % row_length;
        (token - position + self.config.predicted_from(position)) as i64
    }

    /// # Shapes
    /// -> (values) i64 on the model's device.
    fn integers(&self, values: impl Iterator<Item = i64>) -> Result<Tensor, ModelError> {
        Ok(Tensor::f_from_slice(&values.collect::<Vec<_>>())?.f_to_device(self.device)?)
    }
}
