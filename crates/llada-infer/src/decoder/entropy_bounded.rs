//! EB-sampler (arXiv 2505.24857): surest first, commit the largest set U with Σ H − max H ≤ γ, a bound of the mutual
//! information that deciding them together ignores. Default γ = 0.1.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, by_confidence};
use crate::{InferError, StepContext, error::check_non_negative};

/// Parallel decoding within an entropy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntropyBounded {
    /// γ, in nats.
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
            // A lone position ignores nothing, whatever rounding makes of it.
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
