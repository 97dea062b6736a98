//! EB-sampler (arXiv 2505.24857): in order of decreasing confidence, commit the largest set of positions with
//! Σ H − max H ≤ γ, where H is the entropy of a position. The left-hand side bounds the mutual information that is ignored
//! when the positions are decided together. Default: γ = 0.1.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, by_confidence};
use crate::{InferError, StepContext, error::check_non_negative};

/// Parallel decoding with a bounded joint entropy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntropyBounded {
    /// γ, the bound of the joint entropy, in nats.
    pub gamma: f32,
}

impl Default for EntropyBounded {
    fn default() -> Self {
        Self { gamma: 0.1 }
    }
}

impl Decoder for EntropyBounded {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("gamma", self.gamma)
    }

    fn choose(&self, _at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let (mut sum, mut largest) = (0.0, 0.0_f32);
        for index in by_confidence(predictions) {
            let entropy = predictions[index].entropy;
            sum += entropy;
            largest = largest.max(entropy);
            // The first position is always committed: its bound is 0, but rounding might exceed a γ of 0.
            if !chosen.is_empty() && sum - largest > self.gamma {
                break;
            }
            chosen.push(index);
        }
        chosen.sort_unstable();
    }

    fn needs_entropy(&self) -> bool {
        true
    }
}
