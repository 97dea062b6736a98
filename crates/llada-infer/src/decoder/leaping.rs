//! Euler's method and τ-leaping (arXiv 2205.14987; for absorbing states SEDD, arXiv 2310.16834) for the reverse process.
//!
//! A mask becomes a token at the rate r(t) = −α′_t / (1 − α_t), where α_t is the share of visible tokens at time t. A step from
//! t to s keeps the rate and the predictions that it begins with, so positions are independent. With τ = r(t) (t − s) a mask
//! becomes its prediction with probability
//!
//! * *Euler*: τ,
//! * *τ-leaping*: 1 − e^−τ.
//!
//! The exact probability is 1 − (1 − α_s) / (1 − α_t), which [`Origin`](super::Origin) has. Under the linear schedule it is τ,
//! so that Euler's method is exact but for the predictions. The last step commits everything: it is the denoising step with
//! which samplers end that stop early, here at the last time before 0. The [times](super::grid) have ρ = 1 by default.

use std::num::NonZeroUsize;

use llada_core::schedule::NoiseSchedule;
use serde::{Deserialize, Serialize};

use super::{
    Decoder, Prediction, at_random,
    grid::{block_steps, check_rho, times},
};
use crate::{InferError, StepContext};

/// The options of Euler's method and of τ-leaping.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeapOptions {
    /// α, which gives the rate at each time. The log-linear schedule has the rate of the linear one.
    pub noise_schedule: NoiseSchedule,
    /// ρ, the exponent of the times; 1 spaces them evenly.
    pub rho: f32,
}

impl Default for LeapOptions {
    fn default() -> Self {
        Self { noise_schedule: NoiseSchedule::Linear, rho: 1.0 }
    }
}

/// A solver of first order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leap {
    /// Euler's method.
    Euler,
    /// τ-leaping.
    Tau,
}

impl LeapOptions {
    /// Returns the probability with which a mask becomes a token in a step, counted from zero.
    pub fn jump_probability(&self, leap: Leap, step: usize, steps: NonZeroUsize) -> f64 {
        if step + 1 >= steps.get() {
            return 1.0;
        }
        let [t, s] = times(step, steps.get(), self.rho);
        let tau = self.noise_schedule.weight(t) * (t - s);
        match leap {
            Leap::Euler => tau.min(1.0),
            Leap::Tau => -(-tau).exp_m1(),
        }
    }
}

/// A solver with its options.
#[derive(Debug)]
pub(super) struct Leaping {
    pub(super) leap: Leap,
    pub(super) options: LeapOptions,
}

impl Decoder for Leaping {
    fn validate(&self) -> Result<(), InferError> {
        check_rho(self.options.rho)
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let probability = self.options.jump_probability(self.leap, at.block_step, block_steps(at));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::Origin;

    /// Under the linear schedule Euler's probability is exact, and that of τ-leaping smaller; both approach it.
    #[test]
    fn probabilities_are_those_of_the_rates() {
        let options = LeapOptions::default();
        for steps in [1, 7, 100].map(|steps| NonZeroUsize::new(steps).unwrap()) {
            for step in 0..steps.get() {
                let [euler, tau] = [Leap::Euler, Leap::Tau].map(|leap| options.jump_probability(leap, step, steps));
                let exact = Origin { eps: 1e-9 }.transfer_probability(step, steps);
                assert!((euler - f64::from(exact)).abs() < 1e-6, "{euler} {exact}");
                assert!(tau <= euler && euler - tau <= euler * euler);
            }
        }
        let cosine = LeapOptions { noise_schedule: NoiseSchedule::Cosine, ..options };
        let four = NonZeroUsize::new(4).unwrap();
        // r(t) = π/2 · tan(π/2 · (1 − t)): nothing at t = 1, π/2 in the middle, over a quarter each.
        assert_eq!(cosine.jump_probability(Leap::Euler, 0, four), 0.0);
        let middle = std::f64::consts::FRAC_PI_8;
        assert!((cosine.jump_probability(Leap::Euler, 2, four) - middle).abs() < 1e-12);
        assert!((cosine.jump_probability(Leap::Tau, 2, four) - (1.0 - (-middle).exp())).abs() < 1e-12);
    }
}
