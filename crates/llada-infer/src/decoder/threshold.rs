//! Threshold (Fast-dLLM, arXiv 2505.22618, section 3.3): commit every position with confidence ≥ τ, and at least the most
//! confident one. Default: τ = 0.9.
//!
//! As a block fills up, its masks are ever better determined, and the threshold may fall (Streaming-dLLM, arXiv 2601.17917):
//! with r the share of the block's masks that are left, it is τ (1 − α (1 − r)). A threshold that also falls with the load ℓ
//! of the engine is 1 − β ℓ times that. Default: α = β = 0, and the threshold is τ throughout.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{
    InferError, StepContext,
    error::{check_non_negative, check_range},
};

/// Parallel decoding with a confidence threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Threshold {
    /// τ, the confidence at which a prediction is committed; with a τ of 1 a step practically commits one token.
    pub threshold: f32,
    /// α, the share of the threshold that it has lost when the block is nearly full; Streaming-dLLM takes 0.3 to 0.6.
    pub confidence_alpha: f32,
    /// β, the share of the threshold that it loses at full load ([`Engine::set_load`](crate::Engine::set_load)). Unless it is
    /// 0, the tokens depend on when the request was made.
    pub load_alpha: f32,
}

impl Default for Threshold {
    fn default() -> Self {
        Self { threshold: 0.9, confidence_alpha: 0.0, load_alpha: 0.0 }
    }
}

impl Threshold {
    fn at(&self, at: &StepContext, masked: usize) -> f32 {
        let filled = 1.0 - (masked as f32 / at.block_masks.max(1) as f32).min(1.0);
        self.threshold * (1.0 - self.confidence_alpha * filled) * (1.0 - self.load_alpha * at.load)
    }
}

impl Decoder for Threshold {
    fn validate(&self) -> Result<(), InferError> {
        for (name, found) in [("confidence_alpha", self.confidence_alpha), ("load_alpha", self.load_alpha)] {
            check_range(name, found, [0.0, 1.0])?;
        }
        check_non_negative("threshold", self.threshold)
    }

    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let threshold = self.at(at, predictions.len());
        let confident = predictions.iter().filter(|prediction| prediction.confidence >= threshold).count();
        most_confident(predictions, confident.max(1), chosen);
    }
}
