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
//! assert_eq!((plan.blocks(), plan.steps_per_block().get()), (4, 8));
//! assert_eq!(plan.block(1, 100), 116..132);
//!
//! let error = BlockPlan::new(64, 64, 24).unwrap_err();
//! assert!(error.to_string().ends_with("hint: --block-length 16 or --block-length 32"));
//! # Ok::<(), llada_core::CoreError>(())
//! ```

use crate::CoreError;
use std::num::NonZeroUsize;
use std::ops::Range;

/// A checked combination of `steps`, `gen_length` and `block_length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPlan {
    blocks: usize,
    block_length: usize,
    steps_per_block: NonZeroUsize,
}

impl BlockPlan {
    /// Plans `gen_length` tokens in blocks of `block_length`, in `steps` steps altogether.
    ///
    /// More steps than tokens are allowed, as in the reference: the last steps of a block then
    /// commit nothing.
    ///
    /// # Errors
    /// If one of the three is zero, `block_length` does not divide `gen_length`, or the number of
    /// blocks does not divide `steps`. The hint names the nearest settings that work.
    pub fn new(steps: usize, gen_length: usize, block_length: usize) -> Result<Self, CoreError> {
        for (name, value) in [("steps", steps), ("gen_length", gen_length), ("block_length", block_length)] {
            if value == 0 {
                return Err(CoreError::Zero { name });
            }
        }
        if !gen_length.is_multiple_of(block_length) {
            let divides = |length: &usize| gen_length.is_multiple_of(*length);
            let shorter = (1..block_length.min(gen_length + 1)).rev().find(divides);
            let longer = (block_length..=gen_length).find(divides);
            let hint = hint("--block-length", shorter, longer);
            return Err(CoreError::BlockLength { block_length, gen_length, hint });
        }
        let blocks = gen_length / block_length;
        match NonZeroUsize::new(steps / blocks) {
            Some(steps_per_block) if steps.is_multiple_of(blocks) => Ok(Self { blocks, block_length, steps_per_block }),
            fewer => {
                let fewer = fewer.map(|per_block| per_block.get() * blocks);
                let hint = hint("--steps", fewer, steps.checked_next_multiple_of(blocks));
                Err(CoreError::Steps { steps, blocks, hint })
            }
        }
    }

    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The number of tokens of a block.
    pub fn block_length(&self) -> usize {
        self.block_length
    }

    /// The number of tokens of the answer.
    pub fn gen_length(&self) -> usize {
        self.blocks * self.block_length
    }

    /// The number of steps each block takes.
    pub fn steps_per_block(&self) -> NonZeroUsize {
        self.steps_per_block
    }

    /// The positions of block `k` (counted from zero) of an answer that follows `prompt_length`
    /// tokens.
    pub fn block(&self, k: usize, prompt_length: usize) -> Range<usize> {
        let start = prompt_length + k * self.block_length;
        start..start + self.block_length
    }
}

fn hint(flag: &str, below: Option<usize>, above: Option<usize>) -> String {
    let flags: Vec<_> = [below, above].into_iter().flatten().map(|value| format!("{flag} {value}")).collect();
    flags.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_tile_the_answer() {
        let plan = BlockPlan::new(6, 12, 4).unwrap();
        let positions: Vec<_> = (0..plan.blocks()).flat_map(|k| plan.block(k, 5)).collect();
        assert_eq!(positions, (5..5 + plan.gen_length()).collect::<Vec<_>>());
        assert_eq!(plan.steps_per_block().get(), 2);
    }

    #[test]
    fn refusals_name_what_would_work() {
        for (steps, gen_length, block_length, message) in [
            (0, 64, 32, "steps is 0; hint: it has to be at least 1"),
            (64, 64, 24, "block_length 24 does not divide gen_length 64; hint: --block-length 16 or --block-length 32"),
            (64, 64, 65, "block_length 65 does not divide gen_length 64; hint: --block-length 64"),
            (10, 64, 16, "steps 10 is not a multiple of the number of blocks, 4; hint: --steps 8 or --steps 12"),
            (3, 64, 16, "steps 3 is not a multiple of the number of blocks, 4; hint: --steps 4"),
        ] {
            let error = BlockPlan::new(steps, gen_length, block_length).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
