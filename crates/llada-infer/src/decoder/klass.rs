//! KLASS (arXiv 2511.05664): with the divergence KL_t = Σ p_t (ln p_t − ln p_{t−1}) between a position's distributions in
//! consecutive steps, commit every position with confidence > τ whose last n divergences were below ε. If there is none,
//! commit as many predictions as the schedule has, the most confident first. Defaults: τ = 0.9, n = 2, ε = 0.01.
//!
//! A distribution can be stable from the third step of a block on. The published code's order by entropy commits the least
//! confident predictions first, which is not repeated. The state is one row of logits per masked position of the block.

use llada_core::sampling::{argmax, log_softmax_at};
use serde::{Deserialize, Serialize};

use super::{Decoder, PositionState, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// n, the number of consecutive divergences that have to be small.
const HISTORY: usize = 2;
/// ε, the divergence below which a step counts as small, in nats.
const KL_THRESHOLD: f64 = 0.01;

/// Parallel decoding of stable predictions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Klass {
    /// τ, the confidence above which a stable prediction is committed.
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
        for (index, prediction) in predictions.iter().enumerate() {
            if prediction.settled && prediction.confidence > self.threshold {
                chosen.push(index);
            }
        }
        if chosen.is_empty() {
            most_confident(predictions, at.scheduled_commits.max(1), chosen);
        }
    }

    fn position_state(&self) -> Option<Box<dyn PositionState>> {
        Some(Box::new(Settling::default()))
    }
}

/// The stability of one position's distribution.
#[derive(Default)]
struct Settling {
    /// ln p of the previous step; empty before the first.
    log_p: Vec<f32>,
    /// The number of consecutive divergences below ε, up to the last one.
    small_in_a_row: usize,
}

impl PositionState for Settling {
    fn process(&mut self, _at: &StepContext, logits: &mut [f32], prediction: &mut Prediction) {
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
            // p ln p tends to 0 as p does, but 0 times infinity is NaN.
            if p > 0.0 {
                divergence += f64::from(p * (log_p - *before));
            }
            *before = log_p;
        }
        self.small_in_a_row = if divergence < KL_THRESHOLD { self.small_in_a_row + 1 } else { 0 };
        prediction.settled = self.small_in_a_row >= HISTORY;
    }
}
