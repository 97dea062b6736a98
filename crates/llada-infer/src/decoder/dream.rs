//! Dream (arXiv 2508.15487, `diffusion_generate`): with evenly spaced times t₀ = 1 … t_S = 10⁻³, step i of S commits
//! ⌊n(1 − tᵢ₊₁/tᵢ)⌋ of the n remaining masks, and the last step commits all of them. The first steps may commit nothing.
//!
//! The tokens are the most confident ones, or, if `alg_temp` a > 0, a sample without replacement from
//! softmax(confidence / a). Default: a = 0.

use std::num::NonZeroUsize;

use llada_core::confidence::top_k;
use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// The time after the last step.
const EPS: f64 = 1e-3;

/// A schedule by diffusion time, with an optional temperature of the order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dream {
    /// a, the temperature of the order in which tokens are committed; 0 commits the most confident.
    pub alg_temp: f32,
}

impl Default for Dream {
    fn default() -> Self {
        Self { alg_temp: 0.0 }
    }
}

impl Decoder for Dream {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("alg_temp", self.alg_temp)
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        if self.alg_temp == 0.0 {
            return most_confident(predictions, at.scheduled_commits, chosen);
        }
        // The k largest of confidence / a + Gumbel noise are a sample without replacement (Gumbel-top-k).
        let mut perturbed = Vec::with_capacity(predictions.len());
        for prediction in predictions {
            let gumbel = -(-at.uniform(prediction.position).ln()).ln();
            perturbed.push((f64::from(prediction.confidence) / f64::from(self.alg_temp) + gumbel) as f32);
        }
        top_k(&perturbed, at.scheduled_commits, chosen);
    }

    fn schedule(&self, masked: usize, steps: NonZeroUsize) -> Vec<usize> {
        let mut schedule = Vec::with_capacity(steps.get());
        let mut left = masked;
        for step in 0..steps.get() {
            let is_last = step + 1 == steps.get();
            let share = 1.0 - time(step + 1, steps) / time(step, steps);
            let count = if is_last { left } else { (left as f64 * share) as usize };
            schedule.push(count);
            left -= count;
        }
        schedule
    }

    fn is_scheduled(&self) -> bool {
        true
    }
}

/// Returns the time before a step, counted from zero.
fn time(step: usize, steps: NonZeroUsize) -> f64 {
    1.0 - (1.0 - EPS) * step as f64 / steps.get() as f64
}
