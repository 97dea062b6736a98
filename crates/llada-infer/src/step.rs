//! The view of a step that decoders, caches and length policies have.

use std::ops::Range;

use llada_core::rng::{Domain, Noise};

/// The state of a generation at the beginning of a step.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct StepContext {
    /// The number of the step, counted from zero over all blocks.
    pub step: usize,
    /// The number of prompt tokens.
    pub prompt_length: usize,
    /// The number of tokens of prompt and answer together.
    pub length: usize,
    /// The number of tokens in the row of a forward, which begins with those up to the end of the block: `length`, or fewer
    /// if a suffix window hides some of those after it.
    pub row_length: usize,
    /// The number of the block that is being decoded, counted from zero.
    pub block_index: usize,
    /// The number of tokens in a block; the last block may have fewer.
    pub block_length: usize,
    /// The number of answer tokens, or its upper bound.
    pub gen_length: usize,
    /// The first position of the block before this one; that of the first block for the first block.
    pub previous_block: usize,
    /// The positions that may be committed: from the first mask, which may lie before the block, to the end of the block.
    pub block: Range<usize>,
    /// The number of the step in its block, counted from zero.
    pub block_step: usize,
    /// The number of steps in the schedule of the block.
    pub block_steps: usize,
    /// The number of tokens that the schedule commits in this step.
    pub scheduled_commits: usize,
    /// The number of masks that the block had before its first step.
    pub block_masks: usize,
    /// The number of tokens that the previous step of the block committed.
    pub previous_commits: usize,
    /// True if the forward has [shadows](llada_core::predictor::Row::shadowed).
    pub has_shadows: bool,
    /// The seed of the request's noise.
    pub seed: u64,
    /// The load that the [engine was told of](crate::Engine::set_load), from 0 to 1. A decoder that reads it must be asked to,
    /// because the same request then has other tokens at another time.
    pub load: f32,
}

impl StepContext {
    /// Returns the confidence in a prediction of this step under [`Remasking::Random`](llada_core::confidence::Remasking).
    pub(crate) fn order(&self, position: usize) -> f32 {
        Noise::new(self.seed).domain(Domain::Order).stream(0, self.step as u32, position as u32).uniform() as f32
    }

    /// Draws a number for `position` in this step, uniform in (0, 1). Repeated calls return the same number.
    pub fn uniform(&self, position: usize) -> f64 {
        // Lane 0 of this stream is the confidence of random remasking.
        Noise::new(self.seed).domain(Domain::Order).stream(0, self.step as u32, position as u32).at(1)
    }
}

/// Masks that are inserted into a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// The position of the first inserted mask. Tokens from this position on are shifted.
    pub at: usize,
    /// The number of inserted masks.
    pub count: usize,
}

impl Growth {
    /// Joins two growths, of which the second appends to the sequence that the first has appended to.
    pub(crate) fn joined(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(first), Some(second)) => Some(Self { at: first.at, count: first.count + second.count }),
            (first, second) => first.or(second),
        }
    }

    /// Returns the position, after the growth, of the token that was at `position` before.
    pub fn moved(&self, position: usize) -> usize {
        if position < self.at { position } else { position + self.count }
    }
}
