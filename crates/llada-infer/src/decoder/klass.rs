//! KLASS (arXiv 2511.05664): with KL_t = Σ p_t (ln p_t − ln p_{t−1}) from a position's distribution of one step to that of
//! the next, commit every position with confidence > τ whose last n divergences were below ε; if there is none, as many
//! as the schedule says, the surest first. Defaults τ = 0.9, n = 2, ε = 0.01.
//!
//! A distribution settles in the third step of a block at the earliest. The published code's entropy order, which
//! commits the least sure first, is not repeated. PositionState: a row of logits a masked position of the block.

use llada_core::sampling::{argmax, log_softmax_at};

use serde::{Deserialize, Serialize};

use super::{Decoder, PositionState, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// n: divergences that have to be small, one after the other.
const HISTORY: usize = 2;
/// ε: what is small, in nats.
const KL_THRESHOLD: f64 = 0.01;

/// Parallel decoding of what has settled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Klass {
    /// τ, the confidence that suffices of what has settled.
    pub threshold: f32,
}

impl Default for Klass {
    fn default() -> Self {
        Self { threshold: 0.9 }
    }
}

impl Decoder for Klass {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("threshold", self.threshold)
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let ready = |prediction: &Prediction| prediction.settled && prediction.confidence > self.threshold;
        chosen.extend((0..predictions.len()).filter(|&index| ready(&predictions[index])));
        if chosen.is_empty() {
            most_confident(predictions, at.scheduled_commits.max(1), chosen);
        }
    }

    fn position_state(&self) -> Option<Box<dyn PositionState>> {
        Some(Box::new(Settling::default()))
    }
}

/// How long a distribution has hardly moved.
#[derive(Default)]
struct Settling {
    /// ln p of the step before; empty before the first.
    log_p: Vec<f32>,
    /// Divergences below ε since the last that was not.
    calm: usize,
}

impl PositionState for Settling {
    fn process(&mut self, logits: &mut [f32], prediction: &mut Prediction) {
        let top = argmax(logits);
        let log_sum = logits[top as usize] - log_softmax_at(logits, top) as f32;
        if self.log_p.is_empty() {
            self.log_p.extend(logits.iter().map(|logit| logit - log_sum));
            return;
        }
        let mut divergence = 0.0;
        for (before, logit) in self.log_p.iter_mut().zip(logits) {
            let log_p = *logit - log_sum;
            let p = log_p.exp();
            // What cannot be adds nothing, whatever it was before.
            if p > 0.0 {
                divergence += f64::from(p * (log_p - *before));
            }
            *before = log_p;
        }
        self.calm = if divergence < KL_THRESHOLD { self.calm + 1 } else { 0 };
        prediction.settled = self.calm >= HISTORY;
    }
}
