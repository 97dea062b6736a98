//! The θ-trapezoidal method (arXiv 2502.00234, algorithm 2), a solver of the reverse process of second order.
//!
//! Let λ = −ln(1 − α_t), where α_t is the share of visible tokens at time t. In λ a mask becomes the token v at the rate p(v | x),
//! the model's prediction, under every noise schedule. A step over h in λ has two stages of a forward each:
//!
//! 1. From x, leap over θ h with the rates p(v | x), to y.
//! 2. From y, leap over (1 − θ) h with the rates q(v) = max(0, α₁ p(v | y) − α₂ p(v | x)), where α₁ = 1 / (2 θ (1 − θ)) and
//!    α₂ = α₁ − 1.
//!
//! To leap over h with rates q(v) is to become a token with probability 1 − exp(−h Σ q), drawn from q / Σ q. The last step ends
//! where λ is infinite: its first stage commits each mask with probability θ, its second all others. If the number of
//! forwards is odd, the last step has only a stage that commits all.
//!
//! The order is two where nothing is cut off at 0: while another token does not make one less probable than α₂ / α₁ = θ² +
//! (1 − θ)² times what it was. This is ½ for θ = ½ and more for any other θ. Where it does, the order is one in the limit.
//! Time is λ and not t because the rate in t is singular at 0, which hides the order unless steps are many. The
//! [times](super::grid) have ρ = 2 by default, a little more than the leading error asks for, because the steps near t = 0
//! are never small in λ. The state is one row of probabilities per masked position of the block.

use std::num::NonZeroUsize;

use llada_core::{
    sampling::{argmax, log_softmax_at},
    schedule::NoiseSchedule,
};
use serde::{Deserialize, Serialize};

use super::{
    Decoder, PositionState, Prediction, at_random,
    grid::{block_steps, check_rho, times},
};
use crate::{InferError, StepContext, error::check_range};

/// Beyond these, the factors of the extrapolation leave nothing of what is subtracted.
const THETA: [f32; 2] = [0.01, 0.99];

/// The θ-trapezoidal method.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThetaTrapezoidal {
    /// θ, the part of a step that its first stage takes, from 0.01 to 0.99.
    pub theta: f32,
    /// α, which gives the shares of masked tokens that steps begin and end at. The log-linear schedule has those of the linear
    /// one.
    pub noise_schedule: NoiseSchedule,
    /// ρ, the exponent of the times; 1 spaces them evenly.
    pub rho: f32,
}

impl Default for ThetaTrapezoidal {
    fn default() -> Self {
        Self { theta: 0.5, noise_schedule: NoiseSchedule::Linear, rho: 2.0 }
    }
}

/// What a forward of a block is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    /// Each mask becomes its prediction with this probability.
    Leap(f64),
    /// The masks leap over this length of λ, with the rates of [`ThetaTrapezoidal::extrapolate`].
    Extrapolate(f64),
}

impl ThetaTrapezoidal {
    /// Returns what one of a block's `forwards`, counted from zero, is for.
    pub fn stage(&self, forward: usize, forwards: NonZeroUsize) -> Stage {
        if forward + 1 >= forwards.get() {
            return Stage::Leap(1.0);
        }
        let (step, steps) = (forward / 2, forwards.get().div_ceil(2));
        let theta = f64::from(self.theta);
        let [t, s] = times(step, steps, self.rho).map(|time| self.noise_schedule.mask_probability(time));
        // λ is infinite at the end of the last step.
        let length = if step + 1 == steps { f64::INFINITY } else { (t / s).ln() };
        match forward % 2 {
            0 if length.is_infinite() => Stage::Leap(theta),
            0 => Stage::Leap(-(-theta * length).exp_m1()),
            _ => Stage::Extrapolate((1.0 - theta) * length),
        }
    }

    /// Replaces the probabilities `p` of the tokens at a mask by the rates of the second stage, where `before` has the
    /// probabilities of the first stage. Returns the sum of the rates, which is at least 1 up to rounding.
    ///
    /// # Shapes
    /// `before`, `p`: `[padded_vocab_size]`.
    pub fn extrapolate(&self, before: &[f32], p: &mut [f32]) -> f64 {
        let theta = f64::from(self.theta);
        let alpha_1 = 0.5 / (theta * (1.0 - theta));
        let alpha_2 = alpha_1 - 1.0;
        let mut sum = 0.0;
        for (p, before) in p.iter_mut().zip(before) {
            let rate = (alpha_1 * f64::from(*p) - alpha_2 * f64::from(*before)).max(0.0);
            sum += rate;
            *p = rate as f32;
        }
        sum
    }
}

impl Decoder for ThetaTrapezoidal {
    fn validate(&self) -> Result<(), InferError> {
        check_range("theta", self.theta, THETA)?;
        check_rho(self.rho)
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        match self.stage(at.block_step, block_steps(at)) {
            Stage::Leap(probability) => at_random(at, predictions, |_| probability, chosen),
            Stage::Extrapolate(length) => {
                let leaves = |prediction: &Prediction| -(-prediction.rate * length).exp_m1();
                at_random(at, predictions, leaves, chosen);
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

    fn position_state(&self) -> Option<Box<dyn PositionState>> {
        Some(Box::new(FirstStage { solver: *self, p: Vec::new() }))
    }
}

/// The probabilities of one position in the first stage of a step.
struct FirstStage {
    solver: ThetaTrapezoidal,
    /// Empty before the first stage that the position takes part in.
    p: Vec<f32>,
}

impl PositionState for FirstStage {
    fn process(&mut self, at: &StepContext, logits: &mut [f32], prediction: &mut Prediction) {
        let top = argmax(logits);
        let log_sum = logits[top as usize] - log_softmax_at(logits, top) as f32;
        let p = logits.iter().map(|logit| (logit - log_sum).exp());
        match self.solver.stage(at.block_step, block_steps(at)) {
            Stage::Leap(_) => {
                self.p.clear();
                self.p.extend(p);
            }
            // A position that has joined the block between the stages has nothing to extrapolate from.
            Stage::Extrapolate(_) if self.p.is_empty() => prediction.rate = 1.0,
            Stage::Extrapolate(_) => {
                let mut rates: Vec<f32> = p.collect();
                prediction.rate = self.solver.extrapolate(&self.p, &mut rates);
                for (logit, rate) in logits.iter_mut().zip(rates) {
                    // What is cut off stays possible, because constraints may allow nothing else.
                    if logit.is_finite() {
                        *logit = rate.max(f32::MIN_POSITIVE).ln();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(solver: ThetaTrapezoidal, forwards: usize) -> Vec<Stage> {
        let forwards = NonZeroUsize::new(forwards).unwrap();
        (0..forwards.get()).map(|forward| solver.stage(forward, forwards)).collect()
    }

    /// Two stages a step: together they leave the share of masks that the schedule has, if nothing depends on anything.
    #[test]
    fn stages_come_in_pairs() {
        let solver = ThetaTrapezoidal { theta: 0.25, ..Default::default() };
        // Two steps: from 1 to 1/4, and from there to 0.
        let [first, second, third, last] = stages(solver, 4)[..] else { panic!("four stages") };
        let (Stage::Leap(leap), Stage::Extrapolate(length)) = (first, second) else { panic!("{first:?} {second:?}") };
        assert!((1.0 - leap - 0.25_f64.powf(0.25)).abs() < 1e-12);
        assert!((length - 0.75 * 4_f64.ln()).abs() < 1e-12);
        assert!(((1.0 - leap) * (-length).exp() - 0.25).abs() < 1e-12);
        assert_eq!([third, last], [Stage::Leap(0.25), Stage::Leap(1.0)]);
        // The last step of an odd number has one stage.
        assert_eq!(stages(solver, 3), [first, second, Stage::Leap(1.0)]);
        assert_eq!(stages(solver, 1), [Stage::Leap(1.0)]);
    }

    #[test]
    fn rates_are_extrapolated_and_cut_off() {
        let solver = ThetaTrapezoidal::default();
        let mut rates = [0.5, 0.3, 0.2];
        // 2 p − p before.
        assert!((solver.extrapolate(&[0.5, 0.3, 0.2], &mut rates) - 1.0).abs() < 1e-6);
        assert!(rates.iter().zip([0.5, 0.3, 0.2]).all(|(rate, p)| (rate - p).abs() < 1e-6), "{rates:?}");
        let mut rates = [0.9, 0.1, 0.0];
        let sum = solver.extrapolate(&[0.5, 0.3, 0.2], &mut rates);
        assert!(rates.iter().zip([1.3, 0.0, 0.0]).all(|(rate, p)| (rate - p).abs() < 1e-6), "{rates:?}");
        assert!((sum - 1.3).abs() < 1e-6);
    }
}
