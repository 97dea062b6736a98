//! Threshold (Fast-dLLM, arXiv 2505.22618, section 3.3): commit every position with confidence ≥ τ, and at least the most
//! confident one. Default: τ = 0.9.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// Parallel decoding with a confidence threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Threshold {
    /// τ, the confidence at which a prediction is committed; with a τ of 1 a step practically commits one token.
    pub threshold: f32,
}

impl Default for Threshold {
    fn default() -> Self {
        Self { threshold: 0.9 }
    }
}

impl Decoder for Threshold {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("threshold", self.threshold)
    }

    fn choose(&self, _at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let confident = predictions.iter().filter(|prediction| prediction.confidence >= self.threshold).count();
        most_confident(predictions, confident.max(1), chosen);
    }
}
