//! LLaDA2.1 (`generate` of the published checkpoints): tokens are committed above a threshold, and replaced while their
//! block lasts.
//!
//! Each step commits the masks with confidence > τ, or the `num_to_transfer` most confident ones if these are fewer; and
//! every token of the block that the model would now replace with confidence > τ_edit becomes that other token. A full
//! block has up to `max_post_steps` more steps, and ends at the first of them that replaces nothing. Defaults: τ = 0.95,
//! τ_edit = 0.9, 16 steps, 1 token.

use serde::{Deserialize, Serialize};

use super::{Convention, Decoder, Editing, Prediction, most_confident};
use crate::{
    InferError, StepContext,
    error::{check_non_negative, check_positive},
};

/// A threshold with token editing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Llada2Edit {
    /// τ: predictions of masks with a confidence above it are committed.
    pub threshold: f32,
    /// τ_edit: predictions of tokens with a confidence above it replace them; 0 replaces every token that is predicted
    /// differently.
    pub editing_threshold: f32,
    /// The number of steps that a full block has at most.
    pub max_post_steps: usize,
    /// The least number of masks that a step commits.
    pub num_to_transfer: usize,
}

impl Default for Llada2Edit {
    fn default() -> Self {
        Self { threshold: 0.95, editing_threshold: 0.9, max_post_steps: 16, num_to_transfer: 1 }
    }
}

impl Decoder for Llada2Edit {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("threshold", self.threshold)?;
        check_non_negative("editing_threshold", self.editing_threshold)?;
        check_positive("num_to_transfer", self.num_to_transfer)
    }

    fn choose(&self, _at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let above = predictions.iter().filter(|prediction| prediction.confidence > self.threshold).count();
        most_confident(predictions, above.max(self.num_to_transfer), chosen);
    }

    fn editing(&self) -> Option<Editing> {
        Some(Editing { threshold: self.editing_threshold, max_post_steps: self.max_post_steps })
    }

    fn convention(&self) -> Convention {
        Convention::Llada2
    }
}
