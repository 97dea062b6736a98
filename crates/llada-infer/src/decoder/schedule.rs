//! The fixed schedule of LLaDA (`generate.py`): each step of a block commits a number of tokens settled in advance.
//!
//! Of n masks, step i of S commits T\[i\] = ⌊n/S⌋ + 1\[i < n mod S\], the surest first; nothing is ever masked again.

use llada_core::{order::top_k, trace::Commit};

use super::Prediction;

/// The `count` surest predictions, by ascending position; ties go to the lowest.
pub(crate) fn commits(predictions: &[Prediction], count: usize) -> Vec<Commit> {
    let confidence: Vec<f32> = predictions.iter().map(|prediction| prediction.confidence).collect();
    let mut chosen = Vec::with_capacity(count);
    top_k(&confidence, count, &mut chosen);
    let commit = |i: usize| {
        let Prediction { position, token, confidence } = predictions[i];
        Commit { position, token, confidence }
    };
    chosen.into_iter().map(commit).collect()
}
