//! How far a request is, as plain data: the block, the step in it, and the deadline.

use std::ops::Range;

use llada_core::trace::Commit;

/// How far a request is.
#[derive(Debug)]
pub(crate) struct Progression {
    /// The tokens of a block; the last may have fewer.
    pub(crate) block_length: usize,
    /// The forwards that it may still take, if they are limited.
    pub(crate) forwards_left: Option<usize>,
    /// Whether they were limited while it ran. From then on its answer does not grow.
    pub(crate) is_hurried: bool,
    pub(crate) block: ActiveBlock,
}

/// The block that is being decoded.
#[derive(Debug, Default)]
pub(crate) struct ActiveBlock {
    pub(crate) index: usize,
    /// The positions of the block itself.
    pub(crate) block_range: Range<usize>,
    /// The positions that may be committed: the block's, and masks left before it.
    pub(crate) range: Range<usize>,
    /// The tokens that the steps of its schedule commit.
    pub(crate) schedule: Vec<usize>,
    /// The number of the current step in the block.
    pub(crate) step: usize,
    /// What its steps committed and may still revoke, by ascending position.
    pub(crate) decoded: Vec<Commit>,
    /// The tokens that the step before committed.
    pub(crate) previous_commits: usize,
    /// The step before which the block must be full, if forwards are limited; far away if they are not.
    pub(crate) deadline: usize,
}

impl ActiveBlock {
    /// The tokens that the schedule commits in the current step.
    pub(crate) fn scheduled_commits(&self) -> usize {
        self.schedule.get(self.step).copied().unwrap_or(0)
    }

    /// The tokens that the current step commits at least, of the `masked` that are left, if the deadline is to hold. A
    /// schedule is made to fit it.
    pub(crate) fn min_commits(&self, masked: usize) -> usize {
        masked.div_ceil(self.deadline.saturating_sub(self.step).max(1))
    }

    /// Whether the step after the current one is still before the deadline.
    pub(crate) fn has_time(&self) -> bool {
        self.step + 1 < self.deadline
    }
}

impl Progression {
    /// The steps of the current block, counted from its first, by which it must be full when the answer ends at `end`:
    /// an equal share of the forwards that are left.
    pub(crate) fn deadline(&self, end: usize) -> usize {
        let blocks = (end - self.block.block_range.start).div_ceil(self.block_length).max(1);
        let share = self.forwards_left.unwrap_or(usize::MAX) / blocks;
        self.block.step.saturating_add(share.max(1))
    }
}
