//! Hierarchical decoding (dInfer, arXiv 2510.08666): if nothing is surer than 0.4, the surest alone; otherwise the surest
//! of every contiguous run of masks that is surer than that, so that runs are split, and all that are surer than 0.9.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// Confidence that suffices for the surest of a run.
const LOW: f32 = 0.4;

/// Parallel decoding that splits runs of masks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hierarchical {
    /// Confidence that always suffices.
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
