//! Threshold (Fast-dLLM, arXiv 2505.22618, section 3.3): commit every position with confidence ≥ τ, and the surest in
//! any case. Default τ = 0.9.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// Parallel decoding above a confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Threshold {
    /// τ, the confidence that suffices; 1 commits a token a step.
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
        let sure = predictions.iter().filter(|prediction| prediction.confidence >= self.threshold).count();
        most_confident(predictions, sure.max(1), chosen);
    }
}
