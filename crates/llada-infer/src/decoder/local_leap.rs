//! LocalLeap (arXiv 2510.07081): positions with confidence ≥ 0.9 are anchors and are committed. Positions within a distance
//! of 4 from an anchor are committed at confidence ≥ 0.75. If there are none, the most confident position is committed.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// The confidence at which a position near an anchor is committed.
const NEAR: f32 = 0.75;
/// The largest distance from an anchor that counts as near, in positions.
const WINDOW: usize = 4;

/// Parallel decoding around anchors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalLeap {
    /// The confidence at which a position is an anchor.
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
        let mut anchors = Vec::new();
        for prediction in predictions {
            if prediction.confidence >= self.threshold {
                anchors.push(prediction.position);
            }
        }
        for (index, prediction) in predictions.iter().enumerate() {
            let is_anchor = prediction.confidence >= self.threshold;
            let is_confident = prediction.confidence >= NEAR;
            if is_anchor || is_confident && is_near(prediction.position, &anchors) {
                chosen.push(index);
            }
        }
        if chosen.is_empty() {
            most_confident(predictions, 1, chosen);
        }
    }
}

fn is_near(position: usize, anchors: &[usize]) -> bool {
    anchors.iter().any(|anchor| anchor.abs_diff(position) <= WINDOW)
}
