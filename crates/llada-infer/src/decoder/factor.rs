//! Factor (Fast-dLLM, arXiv 2505.22618, theorem 1): with confidences c₁ ≥ c₂ ≥ …, commit the longest prefix in which every
//! prediction has (n + 1)(1 − cₙ) < f, and at least the most confident prediction. For f ≤ 1 the product of the marginals
//! then has its maximum where the joint distribution does. The published code has off-by-one errors at both ends of the
//! prefix, which are not repeated. Default: f = 1.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, by_confidence};
use crate::{InferError, StepContext, error::check_non_negative};

/// Parallel decoding with a bound on the joint confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Factor {
    /// f, the upper bound of (n + 1)(1 − cₙ).
    pub factor: f32,
}

impl Default for Factor {
    fn default() -> Self {
        Self { factor: 1.0 }
    }
}

impl Decoder for Factor {
    fn validate(&self) -> Result<(), InferError> {
        check_non_negative("factor", self.factor)
    }

    fn choose(&self, _at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        for (n, index) in (1_usize..).zip(by_confidence(predictions)) {
            let fits = (n + 1) as f32 * (1.0 - predictions[index].confidence) < self.factor;
            if n > 1 && !fits {
                break;
            }
            chosen.push(index);
        }
        chosen.sort_unstable();
    }
}
