//! ReMDM (arXiv 2503.00307), ancestral sampling with remasking.
//!
//! In a step from time t to s < t, where α_t is the expected fraction of visible tokens, each token decoded in the block is
//! masked again with probability σ, and each mask becomes a token with probability (α_s − (1 − σ) α_t) / (1 − α_t). Then
//! α_s are visible, as without remasking. Positions are independent. The last step commits everything.
//!
//! The strategies differ in σ, whose upper bound is σ_max = min(1, (1 − α_s) / α_t), and in α, which is 1 − t unless stated:
//!
//! * *cap*: σ = min(η, σ_max).
//! * *rescale*: σ = η σ_max, with η at most 1.
//! * *conf*: decoded position i has σ_i = σ_max · softmax_i(−confidence when it was decoded), and σ = 0 for masks, as
//!   published. Slightly fewer than α are visible between the first step and the last.
//! * *loop*: α rises to α_on at time t_on, stays there with σ = min(η, σ_max) until t_off, and then rises to 1. If a step
//!   crosses t_on or t_off, α_s is taken at s; the published code overshoots or lags by a step.
//!
//! Defaults: η = 0.02, t_on = 0.55, t_off = 0.05, α_on = 0.9.

use std::num::NonZeroUsize;

use llada_core::trace::Commit;
use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, at_random};
use crate::{InferError, StepContext, error::check_non_negative};

/// The option of all ReMDM strategies except *conf*.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemdmOptions {
    /// η, the probability with which a step masks a token again, up to σ_max; for *rescale*, the fraction of σ_max.
    pub eta: f32,
}

impl Default for RemdmOptions {
    fn default() -> Self {
        Self { eta: 0.02 }
    }
}

/// Ancestral sampling with remasking.
#[derive(Debug)]
pub(super) struct Remdm {
    strategy: Strategy,
}

/// The choice of σ.
#[derive(Debug)]
enum Strategy {
    Cap { eta: f64 },
    Rescale { eta: f64 },
    Conf,
    Loop { eta: f64, window: Window },
}

impl Remdm {
    pub(super) fn cap(RemdmOptions { eta }: RemdmOptions) -> Self {
        Self { strategy: Strategy::Cap { eta: eta.into() } }
    }

    pub(super) fn rescale(RemdmOptions { eta }: RemdmOptions) -> Self {
        Self { strategy: Strategy::Rescale { eta: eta.into() } }
    }

    pub(super) fn conf() -> Self {
        Self { strategy: Strategy::Conf }
    }

    pub(super) fn in_a_loop(RemdmOptions { eta }: RemdmOptions) -> Self {
        Self { strategy: Strategy::Loop { eta: eta.into(), window: Window::default() } }
    }
}

/// The interval of time in which *loop* remasks.
#[derive(Debug)]
struct Window {
    t_on: f64,
    t_off: f64,
    /// The value of α in the interval.
    alpha_on: f64,
}

impl Default for Window {
    fn default() -> Self {
        Self { t_on: 0.55, t_off: 0.05, alpha_on: 0.9 }
    }
}

impl Window {
    fn alpha(&self, t: f64) -> f64 {
        if t > self.t_on {
            (1.0 - t) * self.alpha_on / (1.0 - self.t_on)
        } else if t > self.t_off {
            self.alpha_on
        } else {
            1.0 - t * (1.0 - self.alpha_on) / self.t_off
        }
    }

    fn is_open(&self, t: f64) -> bool {
        self.t_off < t && t <= self.t_on
    }
}

/// Returns the times t and s of a step.
fn times(at: &StepContext) -> [f64; 2] {
    [at.block_step, at.block_step + 1].map(|steps| 1.0 - steps as f64 / at.block_steps as f64)
}

impl Remdm {
    /// Returns α_t and α_s of a step.
    fn visible(&self, at: &StepContext) -> [f64; 2] {
        times(at).map(|t| match &self.strategy {
            Strategy::Loop { window, .. } => window.alpha(t),
            _ => 1.0 - t,
        })
    }

    fn sigma_max(&self, at: &StepContext) -> f64 {
        let [alpha_t, alpha_s] = self.visible(at);
        // If nothing is visible yet, this is infinite or NaN, and min(1) gives 1 for both.
        ((1.0 - alpha_s) / alpha_t).min(1.0)
    }

    /// Returns σ, which is the same for every token; 0 for *conf*, whose σ of decoded tokens `revoke` computes.
    fn sigma(&self, at: &StepContext) -> f64 {
        match &self.strategy {
            Strategy::Cap { eta } => self.sigma_max(at).min(*eta),
            Strategy::Rescale { eta } => self.sigma_max(at) * eta.min(1.0),
            Strategy::Loop { eta, window } if window.is_open(times(at)[0]) => self.sigma_max(at).min(*eta),
            Strategy::Conf | Strategy::Loop { .. } => 0.0,
        }
    }
}

impl Decoder for Remdm {
    fn validate(&self) -> Result<(), InferError> {
        match self.strategy {
            Strategy::Cap { eta } | Strategy::Rescale { eta } | Strategy::Loop { eta, .. } => {
                check_non_negative("eta", eta)
            }
            Strategy::Conf => Ok(()),
        }
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let [alpha_t, alpha_s] = self.visible(at);
        let reveal = (alpha_s - (1.0 - self.sigma(at)) * alpha_t) / (1.0 - alpha_t);
        at_random(at, predictions, |_| reveal, chosen);
    }

    fn revoke(&self, at: &StepContext, _drafted: usize, decoded: &[Commit], revoked: &mut Vec<usize>) {
        let sum: f64 = decoded.iter().map(doubt).sum();
        for commit in decoded {
            let sigma = match self.strategy {
                Strategy::Conf => self.sigma_max(at) * doubt(commit) / sum,
                _ => self.sigma(at),
            };
            if at.uniform(commit.position) < sigma {
                revoked.push(commit.position);
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

    fn is_revocable(&self) -> bool {
        true
    }
}

/// Returns the unnormalised weight of a token in the softmax of *conf*.
fn doubt(commit: &Commit) -> f64 {
    f64::from(-commit.confidence).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window without time in it is the sampler that takes nothing back.
    #[test]
    fn an_empty_window_is_sigma_zero() {
        let window = Window { t_on: 0.4, t_off: 0.4, alpha_on: 0.6 };
        let empty = Remdm { strategy: Strategy::Loop { eta: 0.5, window } };
        let plain = Remdm { strategy: Strategy::Cap { eta: 0.0 } };
        let predictions: Vec<_> = (0..100).map(|position| Prediction { position, ..Default::default() }).collect();
        let decoded: Vec<_> = (100..200).map(|position| Commit { position, token: 0, confidence: 0.1 }).collect();
        for index in 0..10 {
            let at = StepContext { step: index, block_step: index, block_steps: 10, seed: 3, ..Default::default() };
            let of = |decoder: &Remdm| {
                let (mut chosen, mut revoked) = (Vec::new(), Vec::new());
                decoder.choose(&at, &predictions, &mut chosen);
                decoder.revoke(&at, chosen.len(), &decoded, &mut revoked);
                (chosen, revoked)
            };
            assert_eq!(of(&empty), of(&plain));
            assert!(of(&plain).1.is_empty() && !of(&plain).0.is_empty());
        }
    }
}
