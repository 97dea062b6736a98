//! Origin (`alg` origin of Dream's and SMDM's samplers): the reverse process itself. At each step every mask becomes its
//! prediction independently with probability 1 − tᵢ₊₁/tᵢ, over the [times](super::timesteps) that both share. The
//! choice is random at temperature 0 too. Default: ε = 10⁻³, which is Dream's; SMDM has 10⁻⁵.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, timesteps};
use crate::{InferError, StepContext, error::check_fraction};

/// The reverse process in discrete time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Origin {
    /// ε, the time after the last step.
    pub eps: f32,
}

impl Default for Origin {
    fn default() -> Self {
        Self { eps: 1e-3 }
    }
}

impl Origin {
    /// Returns the probability with which a mask becomes a token in a step, counted from zero.
    pub fn transfer_probability(&self, step: usize, steps: NonZeroUsize) -> f32 {
        timesteps::transferred(step, steps, self.eps)
    }
}

impl Decoder for Origin {
    fn validate(&self) -> Result<(), InferError> {
        check_fraction("eps", self.eps)
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let steps = NonZeroUsize::new(at.block_steps).unwrap_or(NonZeroUsize::MIN);
        let probability = f64::from(self.transfer_probability(at.block_step, steps));
        for (index, prediction) in predictions.iter().enumerate() {
            if at.uniform(prediction.position) < probability {
                chosen.push(index);
            }
        }
    }

    /// Any step may commit any number of tokens.
    fn schedule(&self, masked: usize, steps: NonZeroUsize) -> Vec<usize> {
        vec![masked; steps.get()]
    }

    fn is_scheduled(&self) -> bool {
        true
    }
}
