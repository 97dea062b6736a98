//! Threshold (Fast-dLLM, arXiv 2505.22618, section 3.3): commit every position with confidence ≥ τ, and the surest in
//! any case. Default τ = 0.9.

use super::{Decoder, Prediction, most_confident};
use crate::StepContext;

/// Parallel decoding above a confidence.
#[derive(Debug)]
pub(super) struct Threshold {
    /// τ; 1 commits a token a step.
    pub(super) threshold: f32,
}

impl Decoder for Threshold {
    fn choose(&self, _at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let sure = predictions.iter().filter(|prediction| prediction.confidence >= self.threshold).count();
        most_confident(predictions, sure.max(1), chosen);
    }
}
