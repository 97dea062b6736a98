//! The semi-autoregressive plan: an answer is generated block by block from left to right, each
//! block by diffusion (section 2.4 of the LLaDA paper; `generate.py`).
//!
//! A single block as long as the answer is pure diffusion. Blocks of one token with one step each
//! generate in the order of an autoregressive model.
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

/// A validated combination of `steps`, `gen_length` and `block_length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPlan {
    steps: usize,
    gen_length: usize,
    block_length: usize,
}

impl BlockPlan {
    /// Plans `gen_length` tokens in blocks of `block_length` tokens, with `steps` steps in total. The
    /// last block may be shorter.
    ///
    /// As in the reference, there may be more steps than tokens: the last steps of a block then
    /// commit nothing.
    ///
    /// # Errors
    /// If one of the three is zero, or if there are fewer steps than blocks: each block takes at
    /// least one.
    pub fn new(steps: usize, gen_length: usize, block_length: usize) -> Result<Self, CoreError> {
        for (name, value) in [("steps", steps), ("gen_length", gen_length), ("block_length", block_length)] {
            CoreError::check_positive(name, value)?;
        }
        let plan = Self { steps, gen_length, block_length: block_length.min(gen_length) };
        if steps < plan.blocks() {
            return Err(CoreError::TooFewSteps { steps, blocks: plan.blocks() });
        }
        Ok(plan)
    }

    /// Plans blocks of equal length with equally many steps, the only kind of plan that the
    /// reference accepts.
    ///
    /// # Errors
    /// As for [`new`](Self::new), and if `block_length` does not divide `gen_length` or the number
    /// of blocks does not divide `steps`. The hint names the nearest settings that work.
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

    /// Returns the number of blocks.
    pub fn blocks(&self) -> usize {
        self.gen_length.div_ceil(self.block_length)
    }

    /// Returns the number of tokens in a block; the last block may have fewer.
    pub fn block_length(&self) -> usize {
        self.block_length
    }

    /// Returns the number of tokens in the answer.
    pub fn gen_length(&self) -> usize {
        self.gen_length
    }

    /// Returns the number of steps that block `k` takes: a share of all steps proportional to its
    /// length.
    ///
    /// The shares sum to the steps of the plan, and none of them is zero, because there are at
    /// least as many steps as blocks.
    pub fn steps(&self, k: usize) -> NonZeroUsize {
        let Range { start, end } = self.block(k, 0);
        let steps = self.steps_before(end) - self.steps_before(start);
        NonZeroUsize::new(steps).unwrap_or(NonZeroUsize::MIN)
    }

    /// Returns the number of steps that the first `tokens` tokens of the answer take.
    fn steps_before(&self, tokens: usize) -> usize {
        // In u128, because the product of two lengths that a user typed may exceed usize.
        (self.steps as u128 * tokens as u128 / self.gen_length as u128) as usize
    }

    /// Returns the positions of block `k` (counted from zero) of an answer that follows
    /// `prompt_length` prompt tokens.
    pub fn block(&self, k: usize, prompt_length: usize) -> Range<usize> {
        let start = self.gen_length.min(k.saturating_mul(self.block_length));
        let end = self.gen_length.min(start.saturating_add(self.block_length));
        prompt_length + start..prompt_length + end
    }
}

/// Distributes `masked` tokens over `steps` steps (`get_num_transfer_tokens` of `generate.py`): each
/// step commits $\lfloor n/S \rfloor$ tokens, and each of the first $n \bmod S$ steps one more.
///
/// This is the linear noise schedule: the expected number of tokens that are unmasked is the same
/// in every step. The shares sum to `masked` and never increase. If there are more steps than
/// tokens, the last shares are zero.
///
/// ```
/// use llada_core::block::num_transfer_tokens;
/// use std::num::NonZeroUsize;
///
/// let steps = NonZeroUsize::new(4).unwrap();
/// assert_eq!(num_transfer_tokens(10, steps), [3, 3, 2, 2]);
/// ```
pub fn num_transfer_tokens(masked: usize, steps: NonZeroUsize) -> Vec<usize> {
    let (share, rest) = (masked / steps, masked % steps);
    (0..steps.get()).map(|step| share + usize::from(step < rest)).collect()
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
                    // Where the reference accepts the settings, its plan is the same.
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
