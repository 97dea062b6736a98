//! CreditDecoding (arXiv 2510.06133): tokens that were the most probable in earlier steps have credit, which raises their
//! logits.
//!
//! In each step, each masked position updates its credits: M ← β M, then M\[v\] += p_v^γ for its most probable token v. Its
//! logits are replaced by logits + λ ln(1 + M). Every position with confidence ≥ τ is committed, and at least the most
//! confident one. Defaults: β = 0.8, γ = 0.2, λ = 0.7, τ = 0.9.

use llada_core::sampling::{argmax, softmax_at};
use serde::{Deserialize, Serialize};

use super::{Decoder, PositionState, Prediction, threshold::Threshold};
use crate::{InferError, StepContext, error::check_non_negative};

/// β, the factor by which earlier credit decays in a step.
const DECAY: f32 = 0.8;
/// γ, the exponent of the probability. Being small, it makes the rank of a token count more than its probability.
const EXPONENT: f32 = 0.2;
/// λ, the weight of the credit.
const WEIGHT: f32 = 0.7;

/// Parallel decoding by a confidence that includes credit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credit {
    /// τ, the confidence at which a prediction is committed.
    pub threshold: f32,
}

impl Default for Credit {
    fn default() -> Self {
        Self { threshold: 0.9 }
    }
}

impl Decoder for Credit {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("threshold", self.threshold)
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        Threshold { threshold: self.threshold, ..Threshold::default() }.choose(at, predictions, chosen);
    }

    fn position_state(&self) -> Option<Box<dyn PositionState>> {
        Some(Box::new(Account::default()))
    }
}

/// M of one position: the tokens that have been its most probable, with their credit.
#[derive(Default)]
struct Account(Vec<(u32, f32)>);

impl PositionState for Account {
    fn process(&mut self, _at: &StepContext, logits: &mut [f32], _prediction: &mut Prediction) {
        let top = argmax(logits);
        let earned = softmax_at(logits, top).powf(EXPONENT);
        for (_, credit) in &mut self.0 {
            *credit *= DECAY;
        }
        match self.0.iter_mut().find(|(token, _)| *token == top) {
            Some((_, credit)) => *credit += earned,
            None => self.0.push((top, earned)),
        }
        for &(token, credit) in &self.0 {
            logits[token as usize] += WEIGHT * credit.ln_1p();
        }
    }
}
