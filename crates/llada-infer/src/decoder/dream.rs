//! Dream (arXiv 2508.15487, `diffusion_generate`): with times t₀ = 1 … t_S = 10⁻³ evenly spaced, step i of S commits
//! ⌊n(1 − tᵢ₊₁/tᵢ)⌋ of the n masks there still are, and the last step all of them.
//!
//! Which ones: the surest, or, at `alg_temp` a > 0, as many drawn without replacement from softmax(confidence / a).
//! Default a = 0. The first steps may commit nothing.

use std::num::NonZeroUsize;

use llada_core::confidence::top_k;

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// The time of the last step.
const EPS: f64 = 1e-3;

/// A schedule in time, in an order left to chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dream {
    /// a, the temperature of the order in which tokens are committed; 0 takes the surest.
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
        // The largest of confidence / a + Gumbel noise are the draw without replacement.
        let perturbed = |prediction: &Prediction| {
            let gumbel = -(-at.uniform(prediction.position).ln()).ln();
            (f64::from(prediction.confidence) / f64::from(self.alg_temp) + gumbel) as f32
        };
        let perturbed: Vec<f32> = predictions.iter().map(perturbed).collect();
        top_k(&perturbed, at.scheduled_commits, chosen);
    }

    fn schedule(&self, masked: usize, steps: NonZeroUsize) -> Vec<usize> {
        let t = |step: usize| 1.0 - (1.0 - EPS) * step as f64 / steps.get() as f64;
        let mut left = masked;
        let share = |step| {
            let share = match step + 1 == steps.get() {
                true => left,
                false => (left as f64 * (1.0 - t(step + 1) / t(step))) as usize,
            };
            left -= share;
            share
        };
        (0..steps.get()).map(share).collect()
    }

    fn is_scheduled(&self) -> bool {
        true
    }
}
