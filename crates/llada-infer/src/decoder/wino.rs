//! WINO, wide in and narrow out (arXiv 2507.18578): draft boldly, then take back what the rest does not bear out.
//!
//! Draft: of the n masks of the block, commit every position with confidence > τ₁, but at most min(max(⌊0.7 n⌋, 5), 20),
//! and the surest in any case. Verify, in the same forward: each token of the block has a shadow, a mask that sees
//! everything but it; tokens of earlier steps whose probability by their shadow is < τ₂ become masks again, the least
//! probable first, and fewer of them than the step before committed, so that every block ends. A step that commits one
//! token takes none back. Defaults τ₁ = 0.6, τ₂ = 0.9.

use llada_core::{confidence::top_k, trace::Commit};

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, most_confident};
use crate::{InferError, StepContext, error::check_non_negative};

/// Drafting and verifying.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wino {
    /// τ₁, the confidence that suffices for a draft.
    pub threshold: f32,
    /// τ₂, the probability below which a token becomes a mask again.
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
        let sure = predictions.iter().filter(|prediction| prediction.confidence > self.threshold).count();
        let most = (predictions.len() * 7 / 10).clamp(5, 20);
        most_confident(predictions, sure.clamp(1, most), chosen);
    }

    fn revoke(&self, at: &StepContext, drafted: usize, decoded: &[Commit], revoked: &mut Vec<usize>) {
        if drafted < 2 {
            return;
        }
        let doubt = |commit: &Commit| match commit.confidence < self.threshold_back {
            true => -commit.confidence,
            false => f32::NEG_INFINITY,
        };
        let doubts: Vec<f32> = decoded.iter().map(doubt).collect();
        top_k(&doubts, at.previous_commits.saturating_sub(1), revoked);
        revoked.iter_mut().for_each(|index| *index = decoded[*index].position);
    }

    fn is_revocable(&self) -> bool {
        true
    }

    fn needs_shadows(&self) -> bool {
        true
    }
}
