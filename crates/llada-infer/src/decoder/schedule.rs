//! The fixed schedule of LLaDA (`generate.py`): each step of a block commits a number of tokens settled in advance.
//!
//! Of n masks, step i of S commits T\[i\] = ⌊n/S⌋ + 1\[i < n mod S\], the surest first; nothing is ever masked again.

use super::{Decoder, Prediction, Step, surest};

/// The fixed schedule.
pub(super) struct Schedule;

impl Decoder for Schedule {
    fn choose(&self, step: Step, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        surest(predictions, step.quota, chosen);
    }

    fn is_scheduled(&self) -> bool {
        true
    }
}
