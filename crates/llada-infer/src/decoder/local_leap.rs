//! LocalLeap (arXiv 2510.07081): positions with confidence ≥ 0.9 are anchors; those within 4 positions of an anchor are
//! committed at ≥ 0.75 already. The surest in any case.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// Confidence that suffices near an anchor.
const NEAR: f32 = 0.75;
/// How near, in positions.
const WINDOW: usize = 4;

/// Parallel decoding around anchors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalLeap {
    /// Confidence of an anchor.
    pub threshold: f32,
}

impl Default for LocalLeap {
    fn default() -> Self {
        Self { threshold: 0.9 }
    }
}

impl Decoder for LocalLeap {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("threshold", self.threshold)
    }

    fn choose(&self, _at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let anchors: Vec<usize> = predictions
            .iter()
            .filter(|prediction| prediction.confidence >= self.threshold)
            .map(|prediction| prediction.position)
            .collect();
        let leaps = |prediction: &Prediction| {
            let near = |&anchor: &usize| anchor.abs_diff(prediction.position) <= WINDOW;
            prediction.confidence >= self.threshold || prediction.confidence >= NEAR && anchors.iter().any(near)
        };
        chosen.extend((0..predictions.len()).filter(|&index| leaps(&predictions[index])));
        if chosen.is_empty() {
            most_confident(predictions, 1, chosen);
        }
    }
}
