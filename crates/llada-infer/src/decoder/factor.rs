//! Factor (Fast-dLLM, arXiv 2505.22618, theorem 1): with confidences c₁ ≥ c₂ ≥ …, commit the longest prefix whose every
//! member has (n + 1)(1 − cₙ) < f, and the surest in any case. Below f = 1 the product of the marginals then has the
//! joint distribution's maximum. The published code's slips at both ends of the prefix are not repeated. Default f = 1.

use serde::{Deserialize, Serialize};

use super::{Decoder, Prediction, by_confidence};
use crate::{InferError, StepContext, error::check_non_negative};

/// Parallel decoding within a joint confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Factor {
    /// f, the bound of (n + 1)(1 − cₙ).
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
        let fits = |&(n, index): &(usize, usize)| {
            n == 1 || (n + 1) as f32 * (1.0 - predictions[index].confidence) < self.factor
        };
        chosen.extend((1..).zip(by_confidence(predictions)).take_while(fits).map(|(_, index)| index));
        chosen.sort_unstable();
    }
}
