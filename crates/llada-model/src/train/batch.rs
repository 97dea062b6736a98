//! Batches for training: rows of ids, the tokens that are predicted, and the weight of each.

use std::sync::Arc;

use tch::Tensor;

use super::{EntropyTerm, TrainableTransformer, head::EntropyWeights};
use crate::{
    ModelConfig, ModelError,
    layers::packing::{Packing, Piece, ROUND_IN_TRAINING, round_up},
};

/// Rows of any lengths, side by side without padding, with the tokens of them that are predicted.
#[derive(Debug, Clone, Copy)]
pub struct TrainingBatch<'a> {
    /// The input ids, row after row.
    pub ids: &'a [u32],
    /// The number of tokens of each row.
    pub row_lengths: &'a [usize],
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
    pub(super) row_lengths: Arc<[usize]>,
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
        let &Self { ids, row_lengths, wanted, targets, weights, .. } = self;
        let refuse = |message: String| Err(ModelError::Batch { message });
        let total = row_lengths.iter().try_fold(0_usize, |total, &length| total.checked_add(length));
        if row_lengths.contains(&0) || total != Some(ids.len()) {
            return refuse(format!("{} ids are not rows of {row_lengths:?} tokens", ids.len()));
        }
        if let Some(&length) = row_lengths.iter().find(|&&length| length > max_sequence_length) {
            return Err(ModelError::TooLong { length, max_sequence_length });
        }
        for (index, &id) in ids.iter().enumerate().chain(wanted.iter().copied().zip(targets)) {
            if !config.knows(id) {
                let position = index - starts(row_lengths).take_while(|&start| start <= index).last().unwrap_or(0);
                return Err(ModelError::TokenOutOfRange { id, position, vocab_size });
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

/// Returns the first token of each row.
fn starts(row_lengths: &[usize]) -> impl Iterator<Item = usize> {
    row_lengths.iter().scan(0, |end, length| {
        let start = *end;
        *end += length;
        Some(start)
    })
}

impl TrainableTransformer {
    /// Checks the batch and copies it to the model's device. Returns `None` if no token is wanted.
    pub(super) fn prepare(&mut self, batch: &TrainingBatch<'_>) -> Result<Option<PreparedBatch>, ModelError> {
        batch.check(&self.config)?;
        let &TrainingBatch { ids, row_lengths, wanted, targets, weights, entropy, .. } = batch;
        if wanted.is_empty() {
            return Ok(None);
        }
        self.rope.reach(row_lengths.iter().copied().max().unwrap_or(0))?;
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
        let wanted = self.predicted_from(wanted, row_lengths);
        let wanted = round_up(&wanted, ROUND_IN_TRAINING);
        let targets = round_up(targets, ROUND_IN_TRAINING).map(i64::from);
        let pieces: Vec<Piece<'_>> = row_lengths.iter().map(|&length| Piece::whole(length)).collect();
        Ok(Some(PreparedBatch {
            packing: Packing::new(&pieces, self.device)?,
            row_lengths: row_lengths.into(),
            ids: self.integers(ids.iter().map(|&id| i64::from(id)))?,
            wanted: self.integers(wanted)?,
            targets: self.integers(targets)?,
            weights,
            entropy: entropy_weights,
        }))
    }

    /// Returns the tokens whose hidden states predict `tokens`, which ascend, in rows of these lengths.
    fn predicted_from(&self, tokens: &[usize], row_lengths: &[usize]) -> Vec<i64> {
        let mut tokens = tokens.iter().peekable();
        let mut predicted = Vec::with_capacity(tokens.len());
        for (start, length) in starts(row_lengths).zip(row_lengths) {
            while let Some(token) = tokens.next_if(|&&token| token < start + length) {
                predicted.push((start + self.config.predicted_from(token - start)) as i64);
            }
        }
        predicted
    }

    /// # Shapes
    /// -> (values) i64 on the model's device.
    fn integers(&self, values: impl Iterator<Item = i64>) -> Result<Tensor, ModelError> {
        Ok(Tensor::f_from_slice(&values.collect::<Vec<_>>())?.f_to_device(self.device)?)
    }
}
