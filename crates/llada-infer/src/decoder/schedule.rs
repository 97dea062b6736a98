//! The fixed schedule of LLaDA (`generate.py`): each step of a block commits a predetermined number of tokens.
//!
//! Of n masks, step i of S commits T\[i\] = ⌊n/S⌋ + 1\[i < n mod S\], the most confident first. Nothing is masked again.

use super::{Decoder, Prediction, most_confident};
use crate::StepContext;

/// The fixed schedule.
#[derive(Debug)]
pub(super) struct Schedule;

impl Decoder for Schedule {
    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        most_confident(predictions, at.scheduled_commits, chosen);
    }

    fn is_scheduled(&self) -> bool {
        true
    }
}
