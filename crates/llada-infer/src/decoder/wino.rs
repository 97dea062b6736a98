//! WINO, wide in and narrow out (arXiv 2507.18578): draft many tokens, then revoke those that the others make improbable.
//!
//! Draft: of the n masks of the block, commit every position with confidence > τ₁, but at most min(max(⌊0.7 n⌋, 5), 20) and
//! at least the most confident one.
//!
//! Verify, in the same forward: each decoded token of the block has a shadow, a mask that attends to everything except the
//! token. Tokens of earlier steps whose probability according to their shadow is < τ₂ become masks again, the least
//! probable first. There are fewer of them than tokens that the previous step committed, so that every block ends. A step
//! that commits a single token revokes none.
//!
//! Defaults: τ₁ = 0.6, τ₂ = 0.9.

use llada_core::{confidence::top_k, trace::Commit};
use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// Parallel decoding with verification.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wino {
    /// τ₁, the confidence above which a prediction is committed.
    pub threshold: f32,
    /// τ₂, the probability below which a token is revoked.
    pub threshold_back: f32,
}

impl Default for Wino {
    fn default() -> Self {
        Self { threshold: 0.6, threshold_back: 0.9 }
    }
}

impl Decoder for Wino {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("threshold", self.threshold)?;
        check_non_negative("threshold_back", self.threshold_back)
    }

    fn choose(&self, _at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let confident = predictions.iter().filter(|prediction| prediction.confidence > self.threshold).count();
        let most = (predictions.len() * 7 / 10).clamp(5, 20);
        most_confident(predictions, confident.clamp(1, most), chosen);
    }

    fn revoke(&self, at: &StepContext, drafted: usize, decoded: &[Commit], revoked: &mut Vec<usize>) {
        if drafted < 2 {
            return;
        }
        // `top_k` never chooses negative infinity.
        let mut doubts = vec![f32::NEG_INFINITY; decoded.len()];
        for (doubt, commit) in doubts.iter_mut().zip(decoded) {
            if commit.confidence < self.threshold_back {
                *doubt = -commit.confidence;
            }
        }
        top_k(&doubts, at.previous_commits.saturating_sub(1), revoked);
        for index in revoked {
            *index = decoded[*index].position;
        }
    }

    fn is_revocable(&self) -> bool {
        true
    }

    fn needs_shadows(&self) -> bool {
        true
    }
}
