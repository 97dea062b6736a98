//! Hierarchical decoding (dInfer, arXiv 2510.08666): commit the most confident prediction of every contiguous run of masks
//! if its confidence exceeds 0.4, so that runs are split, and every prediction whose confidence exceeds 0.9. If there is
//! none, commit the most confident prediction.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// The confidence above which the most confident prediction of a run is committed.
const LOW: f32 = 0.4;

/// Parallel decoding that splits runs of masks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hierarchical {
    /// The confidence above which every prediction is committed.
    pub threshold: f32,
}

impl Default for Hierarchical {
    fn default() -> Self {
        Self { threshold: 0.9 }
    }
}

impl Decoder for Hierarchical {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("threshold", self.threshold)
    }

    fn choose(&self, _at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let mut first = 0;
        let mut best = Vec::new();
        for run in predictions.chunk_by(|a, b| a.position + 1 == b.position) {
            most_confident(run, 1, &mut best);
            for (offset, prediction) in run.iter().enumerate() {
                if prediction.confidence > self.threshold || best.contains(&offset) && prediction.confidence > LOW {
                    chosen.push(first + offset);
                }
            }
            first += run.len();
        }
        if chosen.is_empty() {
            most_confident(predictions, 1, chosen);
        }
    }
}
