//! *append*: the canvas consists of the prompt and the blocks so far. When a block is complete and has no end-of-text token,
//! another block of masks is appended.

use serde::{Deserialize, Serialize};

use super::{FinishedStep, LengthPolicy};
use crate::step::Growth;

/// The policy that appends blocks until one has an end-of-text token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Append {
    /// If true, blocks are appended up to `gen_length` whatever they hold.
    pub ignore_eos: bool,
}

impl LengthPolicy for Append {
    fn initial_length(&self, gen_length: usize, block_length: usize) -> usize {
        block_length.min(gen_length)
    }

    fn grows_by_blocks(&self) -> bool {
        true
    }

    fn after_step(&self, step: &FinishedStep<'_>) -> Option<Growth> {
        let has_ended = !self.ignore_eos && step.ids[step.prompt_length..].contains(&step.eos);
        if !step.block_has_ended || has_ended {
            return None;
        }
        Some(Growth { at: step.ids.len(), count: step.block_length })
    }
}
