//! What a model in training is asked: rows, the tokens of them that it predicts, and what each of these weighs.

use tch::Tensor;

use super::TrainableLlada;
use crate::{
    ModelConfig, ModelError,
    layers::packing::{Packing, Piece},
};

/// Wanted tokens are rounded up to a multiple of this: oneDNN compiles and keeps a kernel for each number of rows that
/// it meets, and the number of masks changes with every step.
const ROUND: usize = 64;

/// Rows of one length, and which of their tokens are predicted.
#[derive(Debug, Clone, Copy)]
pub struct TrainingBatch<'a> {
    /// The ids that the model sees, row after row.
    pub ids: &'a [u32],
    /// The number of tokens of a row; divides that of `ids`.
    pub row_length: usize,
    /// The tokens that are predicted, as ascending indices into `ids`. (An autoregressive model predicts the token after
    /// each of these: its logits are not shifted here.)
    pub wanted: &'a [usize],
    /// The token that each of them has to predict.
    pub targets: &'a [u32],
    /// The weight of each one's cross-entropy in the loss.
    pub weights: &'a [f32],
}

/// A checked batch on its device.
pub(super) struct PreparedBatch {
    /// (tokens) i64.
    pub(super) ids: Tensor,
    pub(super) packing: Packing,
    /// (wanted) i64, rounded up by repeating the last, whose repetitions weigh nothing.
    pub(super) wanted: Tensor,
    /// (wanted) i64.
    pub(super) targets: Tensor,
    /// (wanted) f32.
    pub(super) weights: Tensor,
}

impl TrainingBatch<'_> {
    /// Refuses a batch that contradicts itself, or that a model of this config does not take.
    fn check(&self, config: &ModelConfig) -> Result<(), ModelError> {
        let &ModelConfig { max_sequence_length, vocab_size, .. } = config;
        let &Self { ids, row_length, wanted, targets, weights } = self;
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
        if !wanted.is_sorted_by(|a, b| a < b) || wanted.last().is_some_and(|&last| last >= ids.len()) {
            return refuse(format!("wanted tokens are not ascending indices below {}", ids.len()));
        }
        Ok(())
    }
}

impl TrainableLlada {
    /// The batch on the model's device; none if nothing is wanted of it.
    pub(super) fn prepare(&mut self, batch: &TrainingBatch<'_>) -> Result<Option<PreparedBatch>, ModelError> {
        batch.check(&self.config)?;
        let &TrainingBatch { ids, row_length, wanted, targets, weights } = batch;
        if wanted.is_empty() {
            return Ok(None);
        }
        self.rope.reach(row_length)?;
        let rounded = wanted.len().next_multiple_of(ROUND);
        let mut weights = weights.to_vec();
        weights.resize(rounded, 0.0);
        let pieces = vec![Piece::whole(row_length); ids.len() / row_length];
        Ok(Some(PreparedBatch {
            packing: Packing::new(&pieces, self.device)?,
            ids: self.integers(ids.iter().map(|&id| i64::from(id)), ids.len())?,
            wanted: self.integers(wanted.iter().map(|&token| self.predicted_from(token, row_length)), rounded)?,
            targets: self.integers(targets.iter().map(|&id| i64::from(id)), rounded)?,
            weights: Tensor::f_from_slice(&weights)?.f_to_device(self.device)?,
        }))
    }

    /// The token whose hidden state predicts `token`, in rows of `row_length`.
    fn predicted_from(&self, token: usize, row_length: usize) -> i64 {
        let position = token % row_length;
        (token - position + self.config.predicted_from(position)) as i64
    }

    /// (length) i64 on the model's device: `values`, of which the last is repeated.
    fn integers(&self, values: impl Iterator<Item = i64>, length: usize) -> Result<Tensor, ModelError> {
        let mut values: Vec<i64> = values.collect();
        let last = values.last().copied().unwrap_or_default();
        values.resize(length, last);
        Ok(Tensor::f_from_slice(&values)?.f_to_device(self.device)?)
    }
}
