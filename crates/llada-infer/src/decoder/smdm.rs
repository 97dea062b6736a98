//! SMDM (arXiv 2410.18514, `diff_sample` with `alg` greddy): a [schedule by diffusion time](super::timesteps) that commits
//! the most confident predictions. Default: ε = 10⁻⁵.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident, timesteps};
use crate::{InferError, StepContext, error::check_fraction};

/// A schedule by diffusion time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smdm {
    /// ε, the time after the last step.
    pub eps: f32,
}

impl Default for Smdm {
    fn default() -> Self {
        Self { eps: 1e-5 }
    }
}

impl Decoder for Smdm {
    fn validate(&self) -> Result<(), InferError> {
        check_fraction("eps", self.eps)
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        most_confident(predictions, at.scheduled_commits, chosen);
    }

    fn schedule(&self, masked: usize, steps: NonZeroUsize) -> Vec<usize> {
        timesteps::schedule(masked, steps, self.eps)
    }

    fn is_scheduled(&self) -> bool {
        true
    }
}
