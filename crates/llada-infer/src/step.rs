//! The step that is being taken, as decoders, caches and length policies see it.

use std::ops::Range;

use llada_core::rng::{Domain, Noise};

/// Where a generation stands at the beginning of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepContext {
    /// The number of the step, counted over all blocks.
    pub step: usize,
    /// The tokens of the prompt.
    pub prompt_length: usize,
    /// The tokens of prompt and answer.
    pub length: usize,
    /// The number of the block that is being decoded.
    pub block_index: usize,
    /// The positions that may be committed: the block's, and masks that were left before it.
    pub block: Range<usize>,
    /// The number of the step in its block.
    pub block_step: usize,
    /// The steps of the block's schedule.
    pub block_steps: usize,
    /// The tokens that the schedule commits in this step.
    pub scheduled_commits: usize,
    /// The tokens that the step before committed in the block.
    pub previous_commits: usize,
    /// Whether the forward has shadows.
    pub has_shadows: bool,
    /// The seed of the request's noise.
    pub seed: u64,
}

impl StepContext {
    /// A number of this step and `position`, uniform in (0, 1).
    pub fn uniform(&self, position: usize) -> f64 {
        // Lane 0 is the confidence of random remasking.
        Noise::new(self.seed).domain(Domain::Order).stream(0, self.step as u32, position as u32).at(1)
    }
}

/// Masks that are put into a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// The position of the first of them. What stood there before comes after them.
    pub at: usize,
    /// How many there are.
    pub count: usize,
}

impl Growth {
    /// Where the growth leaves what stood at `position`.
    pub fn moved(&self, position: usize) -> usize {
        if position < self.at { position } else { position + self.count }
    }
}
