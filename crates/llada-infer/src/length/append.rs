//! *append*: the canvas is the prompt and the blocks so far. A block of masks is appended when the one before it is full
//! and has no end-of-text token in it.

use super::{FinishedStep, LengthPolicy};
use crate::step::Growth;

/// Blocks until one has an end.
pub(super) struct Append;

impl LengthPolicy for Append {
    fn initial_length(&self, gen_length: usize, block_length: usize) -> usize {
        block_length.min(gen_length)
    }

    fn after_step(&self, step: &FinishedStep<'_>) -> Option<Growth> {
        if !step.block_has_ended || step.block.contains(&step.eos) {
            return None;
        }
        Some(Growth { at: step.ids.len(), count: step.block_length })
    }
}
