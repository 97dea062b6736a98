//! *daedal* (DAEDAL, arXiv 2508.00819): with c the mean, over 32, of the probabilities of the last 32 positions that
//! predict end-of-text, or fewer. Stage 1: from `initial_gen_length` masks on, while c < 0.5, append 8. Stage 2: at each
//! step of a block, if c < 0.9, the least sure of its masks becomes 8 masks, provided that its confidence is < 0.1. The
//! last forward of the first stage is the first of the second. Published code puts 16 visible end-of-text tokens after
//! the canvas in between; that is not repeated. A visible end-of-text of the answer counts as certain. Masks of the
//! prompt count for nothing here, and stay single. Between two full forwards of a cache the length stays as it is.

use serde::{Deserialize, Serialize};

use super::{FinishedStep, LengthPolicy};
use crate::{Growth, InferError, StepContext, error::check_positive};

/// The c that ends the first stage.
const EOS_CONFIDENCE: f64 = 0.5;
/// The c from which on no mask is expanded.
const EXPAND_EOS_CONFIDENCE: f64 = 0.9;
/// The confidence below which a mask may be.
const LOW_CONFIDENCE: f32 = 0.1;
/// Masks that are appended, or that one mask becomes.
const EXPANSION_FACTOR: usize = 8;

/// As many masks as the model asks for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Daedal {
    /// Masks that the answer begins with.
    pub initial_gen_length: usize,
}

impl Default for Daedal {
    fn default() -> Self {
        Self { initial_gen_length: 64 }
    }
}

impl LengthPolicy for Daedal {
    fn validate(&self) -> Result<(), InferError> {
        check_positive("initial_gen_length", self.initial_gen_length)
    }

    fn initial_length(&self, gen_length: usize, _block_length: usize) -> usize {
        self.initial_gen_length.min(gen_length)
    }

    fn needs_eos_confidence(&self) -> bool {
        true
    }

    fn before_step(&self, at: &StepContext, eos_confidence: Option<f64>) -> Option<Growth> {
        let has_begun = at.block_index > 0 || at.block_step > 0;
        let is_too_short = eos_confidence? < EOS_CONFIDENCE;
        (is_too_short && !has_begun).then_some(Growth { at: at.length, count: EXPANSION_FACTOR })
    }

    fn after_step(&self, step: &FinishedStep<'_>) -> Option<Growth> {
        if step.eos_confidence? >= EXPAND_EOS_CONFIDENCE {
            return None;
        }
        let answer = step.predictions.partition_point(|prediction| prediction.position < step.prompt_length);
        let left = (answer..step.predictions.len()).filter(|index| !step.chosen.contains(index));
        let confidence = |index: usize| step.predictions[index].confidence;
        let least_sure = left.min_by(|&a, &b| confidence(a).total_cmp(&confidence(b)))?;
        let growth = Growth { at: step.predictions[least_sure].position + 1, count: EXPANSION_FACTOR - 1 };
        (confidence(least_sure) < LOW_CONFIDENCE).then_some(growth)
    }
}
