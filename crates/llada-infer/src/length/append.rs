//! *append*: the canvas consists of the prompt and the blocks so far. When a block is complete and has no end-of-text token,
//! another block of masks is appended.

use super::{FinishedStep, LengthPolicy};
use crate::step::Growth;

/// The policy that appends blocks until one has an end-of-text token.
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
