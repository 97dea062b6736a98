//! LocalLeap (arXiv 2510.07081): positions with confidence ≥ 0.9 are anchors; those within 4 positions of an anchor are
//! committed at ≥ 0.75 already. The surest in any case.

use super::{Decoder, Prediction, most_confident};
use crate::StepContext;

/// Parallel decoding around anchors.
#[derive(Debug)]
pub(super) struct LocalLeap {
    /// Confidence of an anchor.
    pub(super) anchor: f32,
    /// Confidence that suffices near one.
    pub(super) near: f32,
    /// How near.
    pub(super) window: usize,
}

impl Default for LocalLeap {
    fn default() -> Self {
        Self { anchor: 0.9, near: 0.75, window: 4 }
    }
}

impl Decoder for LocalLeap {
    fn choose(&self, _at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let anchors: Vec<usize> = predictions
            .iter()
            .filter(|prediction| prediction.confidence >= self.anchor)
            .map(|prediction| prediction.position)
            .collect();
        let leaps = |prediction: &Prediction| {
            let near = |&anchor: &usize| anchor.abs_diff(prediction.position) <= self.window;
            prediction.confidence >= self.anchor || prediction.confidence >= self.near && anchors.iter().any(near)
        };
        chosen.extend((0..predictions.len()).filter(|&index| leaps(&predictions[index])));
        if chosen.is_empty() {
            most_confident(predictions, 1, chosen);
        }
    }
}
