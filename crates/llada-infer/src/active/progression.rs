//! The progress of a request as plain data: the current block, the step in it, and its deadline.

use std::ops::Range;

use llada_core::trace::Commit;

/// The progress of a request.
#[derive(Debug)]
pub(crate) struct Progression {
    /// The number of tokens in a block; the last block may have fewer.
    pub(crate) block_length: usize,
    /// The number of remaining forwards, if it is limited.
    pub(crate) forwards_left: Option<usize>,
    /// True if the forwards were limited while the request ran. From then on its answer does not grow.
    pub(crate) is_hurried: bool,
    pub(crate) block: ActiveBlock,
}

/// The block that is being decoded.
#[derive(Debug, Default)]
pub(crate) struct ActiveBlock {
    pub(crate) index: usize,
    /// The first position that was decoded with the block before.
    pub(crate) previous: usize,
    /// The positions of the block itself.
    pub(crate) block_range: Range<usize>,
    /// The positions that may be committed: from the first mask of the sequence, which may lie before the block, to the
    /// end of the block.
    pub(crate) range: Range<usize>,
    /// The number of masks in `range` when the block was started.
    pub(crate) masks: usize,
    /// For each step of the block, the number of tokens that a scheduled decoder commits.
    pub(crate) schedule: Vec<usize>,
    /// The number of the current step in the block.
    pub(crate) step: usize,
    /// The number of steps since the block became full, where its tokens may still be replaced.
    pub(crate) post_steps: usize,
    /// The tokens of the block that may still be revoked, by ascending position.
    pub(crate) decoded: Vec<Commit>,
    /// The number of tokens that the previous step committed.
    pub(crate) previous_commits: usize,
    /// The step of the block before which the block must be full; practically infinite if forwards are not limited.
    pub(crate) deadline: usize,
}

impl ActiveBlock {
    /// Returns the number of tokens that the schedule commits in the current step.
    pub(crate) fn scheduled_commits(&self) -> usize {
        self.schedule.get(self.step).copied().unwrap_or(0)
    }

    /// Returns the number of tokens that a step must commit, given the number of `masked` positions, so that the deadline
    /// can be met.
    pub(crate) fn min_commits(&self, step: usize, masked: usize) -> usize {
        masked.div_ceil(self.deadline.saturating_sub(step).max(1))
    }

    /// Returns true if the current step is not the last one before the deadline.
    pub(crate) fn has_time(&self) -> bool {
        self.step + 1 < self.deadline
    }
}

impl Progression {
    /// Returns the deadline of the current block, as a step of the block, if the sequence ends at `end`. Each remaining
    /// block gets an equal share of the remaining forwards.
    pub(crate) fn deadline(&self, end: usize) -> usize {
        let blocks = (end - self.block.block_range.start).div_ceil(self.block_length).max(1);
        let share = self.forwards_left.unwrap_or(usize::MAX) / blocks;
        self.block.step.saturating_add(share.max(1))
    }
}
