//! Hierarchical decoding (dInfer, arXiv 2510.08666): if nothing is surer than 0.4, the surest alone; otherwise the surest
//! of every contiguous run of masks that is surer than that, so that runs are split, and all that are surer than 0.9.

use super::{Decoder, Prediction, most_confident};
use crate::StepContext;

/// Parallel decoding that splits runs of masks.
#[derive(Debug)]
pub(super) struct Hierarchical {
    /// Confidence that always suffices.
    pub(super) high: f32,
    /// Confidence that suffices for the surest of a run.
    pub(super) low: f32,
}

impl Default for Hierarchical {
    fn default() -> Self {
        Self { high: 0.9, low: 0.4 }
    }
}

impl Decoder for Hierarchical {
    fn choose(&self, _at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let mut first = 0;
        let mut best = Vec::new();
        for run in predictions.chunk_by(|a, b| a.position + 1 == b.position) {
            most_confident(run, 1, &mut best);
            for (offset, prediction) in run.iter().enumerate() {
                if prediction.confidence > self.high || best.contains(&offset) && prediction.confidence > self.low {
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
