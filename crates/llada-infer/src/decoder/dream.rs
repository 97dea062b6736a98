//! Dream (arXiv 2508.15487, `diffusion_generate`): a [schedule by diffusion time](super::timesteps), in which the first
//! steps may commit nothing.
//!
//! The tokens are the most confident ones, or, if `alg_temp` a > 0, a sample without replacement from
//! softmax(confidence / a). The confidence is that of the distribution that tokens are drawn from, after temperature and
//! truncation. Defaults: a = 0, ε = 10⁻³.

use std::num::NonZeroUsize;

use llada_core::confidence::top_k;
use serde::{Deserialize, Serialize};

use super::{Convention, Decoder, Prediction, most_confident, timesteps};
use crate::{
    InferError, StepContext,
    error::{check_fraction, check_non_negative},
};

/// A schedule by diffusion time, with an optional temperature of the order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dream {
    /// a, the temperature of the order in which tokens are committed; 0 commits the most confident.
    pub alg_temp: f32,
    /// ε, the time after the last step.
    pub eps: f32,
}

impl Default for Dream {
    fn default() -> Self {
        Self { alg_temp: 0.0, eps: 1e-3 }
    }
}

impl Decoder for Dream {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("alg_temp", self.alg_temp)?;
        check_fraction("eps", self.eps)
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
        timesteps::schedule(masked, steps, self.eps)
    }

    fn is_scheduled(&self) -> bool {
        true
    }

    fn convention(&self) -> Convention {
        Convention::Dream
    }
}
