//! LLaDA2.0 (`generate` of the published checkpoints): commit every position with confidence > τ, if these are at least
//! as many as a schedule asks for, and otherwise as many as it asks for.
//!
//! Of a block of B positions, step s of S asks for ⌊B/S⌋ + 1\[s < B mod S\], whether or not the prompt fills a part of the
//! block; S is `block_steps`, or ⌊`gen_length` / `minimal_topk`⌋ if that is less. Defaults: τ = 0.95, S = 32,
//! `minimal_topk` = 1.

use serde::{Deserialize, Serialize};

use super::{Convention, Decoder, Prediction, most_confident};
use crate::{
    InferError, StepContext,
    error::{check_non_negative, check_positive},
};

/// A threshold over a minimal schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Llada2 {
    /// τ: predictions with a confidence above it are committed.
    pub threshold: f32,
    /// S, the number of steps in which a block is full in any case.
    pub block_steps: usize,
    /// The least number of tokens per step, on average.
    pub minimal_topk: usize,
}

impl Default for Llada2 {
    fn default() -> Self {
        Self { threshold: 0.95, block_steps: 32, minimal_topk: 1 }
    }
}

impl Llada2 {
    /// Returns the number of tokens that the schedule asks for in this step; all in a step after its last.
    fn asked_for(&self, at: &StepContext) -> usize {
        let steps = self.block_steps.min(at.gen_length / self.minimal_topk).max(1);
        if at.block_step >= steps {
            return at.block_length;
        }
        at.block_length / steps + usize::from(at.block_step < at.block_length % steps)
    }
}

impl Decoder for Llada2 {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("threshold", self.threshold)?;
        check_positive("block_steps", self.block_steps)?;
        check_positive("minimal_topk", self.minimal_topk)
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let above = predictions.iter().filter(|prediction| prediction.confidence > self.threshold).count();
        most_confident(predictions, above.max(self.asked_for(at)), chosen);
    }

    fn convention(&self) -> Convention {
        Convention::Llada2
    }
}
