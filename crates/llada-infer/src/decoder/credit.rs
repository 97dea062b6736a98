//! CreditDecoding (arXiv 2510.06133): a token that was the most probable before has credit. At each step of a masked
//! position M ← β M, then M\[v\] += p_v^γ for its most probable token v; logits + λ ln(1 + M) take the logits' place, and
//! every position with confidence ≥ τ is committed, the surest in any case. Defaults β = 0.8, γ = 0.2, λ = 0.7, τ = 0.9.

use llada_core::sampling::{argmax, softmax_at};

use serde::{Deserialize, Serialize};

use super::{Decoder, PositionState, Prediction, threshold::Threshold};
use crate::{InferError, StepContext, error::check_non_negative};

/// β: what a step leaves of earlier credit.
const DECAY: f32 = 0.8;
/// γ: how little the probability matters beside being the most probable.
const EXPONENT: f32 = 0.2;
/// λ: weight of the credit.
const WEIGHT: f32 = 0.7;

/// Parallel decoding above a confidence that grows with persistence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credit {
    /// τ, the raised confidence that suffices.
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
        Threshold { threshold: self.threshold }.choose(at, predictions, chosen);
    }

    fn position_state(&self) -> Option<Box<dyn PositionState>> {
        Some(Box::new(Account::default()))
    }
}

/// M of a position: the tokens that have been its most probable, and their credit.
#[derive(Default)]
struct Account(Vec<(u32, f32)>);

impl PositionState for Account {
    fn process(&mut self, logits: &mut [f32], _prediction: &mut Prediction) {
        let top = argmax(logits);
        let earned = softmax_at(logits, top).powf(EXPONENT);
        self.0.iter_mut().for_each(|(_, credit)| *credit *= DECAY);
        match self.0.iter_mut().find(|(token, _)| *token == top) {
            Some((_, credit)) => *credit += earned,
            None => self.0.push((top, earned)),
        }
        for &(token, credit) in &self.0 {
            logits[token as usize] += WEIGHT * credit.ln_1p();
        }
    }
}
