//! *daedal* (DAEDAL, arXiv 2508.00819): the answer grows as long as the model is not confident that it ends.
//!
//! The confidence c is the sum of the probabilities of end-of-text at the last 32 positions that predict it, divided by 32;
//! if fewer positions do, the others count as 0. A visible end-of-text token of the answer counts as certain.
//!
//! * Stage 1: the answer starts with `initial_gen_length` masks. While c < 0.5, 8 masks are appended.
//! * Stage 2: after each step of a block with c < 0.9, the block's least confident mask is expanded to 8 masks if its
//!   confidence is < 0.1.
//!
//! The last forward of stage 1 is also the first of stage 2. The published code appends 16 visible end-of-text tokens to the
//! canvas between the stages, which is not repeated. Masks of the prompt have no part in c and are never expanded. With a
//! cache, the answer grows only at full forwards.

use serde::{Deserialize, Serialize};

use super::{FinishedStep, LengthPolicy};
use crate::{Growth, InferError, Prediction, StepContext, error::check_positive};

/// The c at which the first stage ends.
const EOS_CONFIDENCE: f64 = 0.5;
/// The c at which masks are no longer expanded.
const EXPAND_EOS_CONFIDENCE: f64 = 0.9;
/// The confidence below which a mask is expanded.
const LOW_CONFIDENCE: f32 = 0.1;
/// The number of masks that are appended, or that a mask is expanded to.
const EXPANSION_FACTOR: usize = 8;

/// The options of DAEDAL.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Daedal {
    /// The number of masks that the answer starts with.
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
        let mut least_confident: Option<&Prediction> = None;
        for (index, prediction) in step.predictions.iter().enumerate() {
            if prediction.position < step.prompt_length || step.chosen.contains(&index) {
                continue;
            }
            if least_confident.is_none_or(|least| prediction.confidence.total_cmp(&least.confidence).is_lt()) {
                least_confident = Some(prediction);
            }
        }
        let mask = least_confident?;
        if mask.confidence >= LOW_CONFIDENCE {
            return None;
        }
        Some(Growth { at: mask.position + 1, count: EXPANSION_FACTOR - 1 })
    }
}
