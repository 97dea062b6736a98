//! Origin (`alg` origin of Dream's and SMDM's samplers): the reverse process itself. At each step every mask becomes its
//! prediction independently with probability 1 − tᵢ₊₁/tᵢ, over the [times](super::timesteps) that both share. The
//! choice is random at temperature 0 too. Default: ε = 10⁻³, which is Dream's; SMDM has 10⁻⁵.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, at_random, timesteps};
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

/// The origin order with given random numbers instead of the request's own, to repeat what another program drew.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedOrigin {
    /// The times.
    pub origin: Origin,
    /// For each step of the block, a number in \[0, 1) for each of its masks, by ascending position.
    pub uniform: Vec<Vec<f32>>,
}

impl Decoder for RecordedOrigin {
    fn validate(&self) -> Result<(), InferError> {
        self.origin.validate()
    }

    /// A mask for which no number was recorded is left as it is, until the last step.
    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let steps = NonZeroUsize::new(at.block_steps).unwrap_or(NonZeroUsize::MIN);
        let probability = self.origin.transfer_probability(at.block_step, steps);
        let uniform = self.uniform.get(at.block_step).map_or(&[][..], Vec::as_slice);
        let is_last = at.block_step + 1 >= steps.get();
        chosen.extend((0..predictions.len()).filter(|&index| match uniform.get(index) {
            Some(&uniform) => uniform < probability,
            None => is_last,
        }));
    }

    fn schedule(&self, masked: usize, steps: NonZeroUsize) -> Vec<usize> {
        self.origin.schedule(masked, steps)
    }

    fn is_scheduled(&self) -> bool {
        true
    }
}

impl Decoder for Origin {
    fn validate(&self) -> Result<(), InferError> {
        check_fraction("eps", self.eps)
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let steps = NonZeroUsize::new(at.block_steps).unwrap_or(NonZeroUsize::MIN);
        let probability = f64::from(self.transfer_probability(at.block_step, steps));
        at_random(at, predictions, |_| probability, chosen);
    }

    /// Any step may commit any number of tokens.
    fn schedule(&self, masked: usize, steps: NonZeroUsize) -> Vec<usize> {
        vec![masked; steps.get()]
    }

    fn is_scheduled(&self) -> bool {
        true
    }
}
