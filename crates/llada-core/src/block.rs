//! The semi-autoregressive plan: an answer is generated block after block, from left to right, each
//! by diffusion (section 2.4 of the LLaDA paper; `generate.py`).
//!
//! One block as long as the answer is pure diffusion; blocks of one token with a step each are the
//! order of an autoregressive model.
//!
//! ```
//! use llada_core::block::BlockPlan;
//!
//! let plan = BlockPlan::new(32, 64, 16)?;
//! assert_eq!((plan.blocks(), plan.steps(1).get()), (4, 8));
//! assert_eq!(plan.block(1, 100), 116..132);
//!
//! // The last block may be shorter. Steps go to blocks by their length.
//! let ragged = BlockPlan::new(10, 40, 16)?;
//! assert_eq!(ragged.block(2, 100), 132..140);
//! assert_eq!([0, 1, 2].map(|block| ragged.steps(block).get()), [4, 4, 2]);
//! # Ok::<(), llada_core::CoreError>(())
//! ```

use crate::CoreError;
use std::num::NonZeroUsize;
use std::ops::Range;

/// A checked combination of `steps`, `gen_length` and `block_length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPlan {
    steps: usize,
    gen_length: usize,
    block_length: usize,
}

impl BlockPlan {
    /// Plans `gen_length` tokens in blocks of `block_length`, the last of which may be shorter, in
    /// `steps` steps altogether.
    ///
    /// More steps than tokens are allowed, as in the reference: the last steps of a block then
    /// commit nothing.
    ///
    /// # Errors
    /// If one of the three is zero, or there are fewer steps than blocks, each of which takes one.
    pub fn new(steps: usize, gen_length: usize, block_length: usize) -> Result<Self, CoreError> {
        for (name, value) in [("steps", steps), ("gen_length", gen_length), ("block_length", block_length)] {
            if value == 0 {
                return Err(CoreError::Zero { name });
            }
        }
        let plan = Self { steps, gen_length, block_length: block_length.min(gen_length) };
        if steps < plan.blocks() {
            return Err(CoreError::TooFewSteps { steps, blocks: plan.blocks() });
        }
        Ok(plan)
    }

    /// The same where blocks are equally long and take equally many steps, which is all that the
    /// reference knows.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if `block_length` does not divide `gen_length`, or the number of
    /// blocks does not divide `steps`. The hint names the nearest settings that work.
    pub fn even(steps: usize, gen_length: usize, block_length: usize) -> Result<Self, CoreError> {
        let is_zero = [steps, gen_length, block_length].contains(&0);
        if !is_zero && !gen_length.is_multiple_of(block_length) {
            return Err(CoreError::BlockLength { block_length, gen_length });
        }
        if !is_zero && !steps.is_multiple_of(gen_length / block_length) {
            return Err(CoreError::Steps { steps, blocks: gen_length / block_length });
        }
        Self::new(steps, gen_length, block_length)
    }

    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.gen_length.div_ceil(self.block_length)
    }

    /// The number of tokens of a block; the last may have fewer.
    pub fn block_length(&self) -> usize {
        self.block_length
    }

    /// The number of tokens of the answer.
    pub fn gen_length(&self) -> usize {
        self.gen_length
    }

    /// The number of steps that block `k` takes: its share of all steps, by its length.
    ///
    /// The shares sum to the steps of the plan. None is zero: a block that is not the last has
    /// `steps * block_length / gen_length` of them at least, and there are as many steps as blocks.
    pub fn steps(&self, k: usize) -> NonZeroUsize {
        let Range { start, end } = self.block(k, 0);
        let steps = self.steps_before(end) - self.steps_before(start);
        NonZeroUsize::new(steps).unwrap_or(NonZeroUsize::MIN)
    }

    /// The steps that the first `tokens` tokens of the answer take.
    fn steps_before(&self, tokens: usize) -> usize {
        // In u128, because a product of two lengths that somebody typed may exceed usize.
        (self.steps as u128 * tokens as u128 / self.gen_length as u128) as usize
    }

    /// The positions of block `k` (counted from zero) of an answer that follows `prompt_length`
    /// tokens.
    pub fn block(&self, k: usize, prompt_length: usize) -> Range<usize> {
        let position = |k: usize| prompt_length + self.gen_length.min(k.saturating_mul(self.block_length));
        position(k)..position(k.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_tile_the_answer_and_share_its_steps() {
        for gen_length in 1..40_usize {
            for block_length in 1..45 {
                let blocks = gen_length.div_ceil(block_length);
                for steps in blocks..80 {
                    let plan = BlockPlan::new(steps, gen_length, block_length).unwrap();
                    let positions: Vec<_> = (0..plan.blocks()).flat_map(|k| plan.block(k, 5)).collect();
                    assert_eq!(positions, (5..5 + gen_length).collect::<Vec<_>>());
                    let shares: Vec<_> = (0..plan.blocks()).map(|k| plan.steps(k).get()).collect();
                    assert_eq!(shares.iter().sum::<usize>(), steps, "{plan:?}");
                    // Where the reference has a plan, it is this one.
                    if let Ok(even) = BlockPlan::even(steps, gen_length, block_length) {
                        assert_eq!(even, plan);
                        assert!(shares.iter().all(|&share| share == steps / blocks));
                    }
                }
            }
        }
    }

    #[test]
    fn refusals_name_what_would_work() {
        let hint = |error: &CoreError| error.hint().map(|hint| hint.to_string()).unwrap_or_default();
        for (steps, gen_length, block_length, message, expected) in [
            (0, 64, 32, "steps is 0", "it has to be at least 1"),
            (64, 64, 24, "block_length 24 does not divide gen_length 64", "block_length 16 or block_length 32"),
            (64, 64, 65, "block_length 65 does not divide gen_length 64", "block_length 64"),
            (10, 64, 16, "steps 10 is not a multiple of the number of blocks, 4", "steps 8 or steps 12"),
            (3, 64, 16, "steps 3 is not a multiple of the number of blocks, 4", "steps 4"),
        ] {
            let error = BlockPlan::even(steps, gen_length, block_length).unwrap_err();
            assert_eq!((error.to_string().as_str(), hint(&error).as_str()), (message, expected));
        }
        let error = BlockPlan::new(3, 64, 16).unwrap_err();
        assert_eq!(error.to_string(), "steps 3 is less than the 4 blocks, each of which takes a step");
        assert_eq!(hint(&error), "steps 4");
    }
}
