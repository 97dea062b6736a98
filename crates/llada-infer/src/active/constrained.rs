//! The part of a request that a constraint adds: tokens that are forced take no forward, and nothing that is committed,
//! replaced or inserted makes a valid answer impossible.

use llada_core::trace::Commit;

use super::{ActiveRequest, Sequence};
use crate::{InferError, constraint::Region, step::Growth};

impl ActiveRequest {
    /// Checks that the constraints can be satisfied, lengthens an answer that starts too short, and commits what is forced
    /// from the start.
    ///
    /// # Errors
    /// If no text of the right length satisfies a constraint.
    pub(super) fn start_constrained(&mut self) -> Result<(), InferError> {
        let prompt_length = self.sequence.trace.prompt_length;
        if !self.length.grows_by_blocks()
            && let Some(answer) = self.regions.iter().position(|region| region.range().start == prompt_length)
        {
            let shortest = self.regions[answer].shortest().unwrap_or(0);
            let missing = (prompt_length + shortest).min(self.max_len()).saturating_sub(self.sequence.ids.len());
            if missing > 0 {
                self.grow(Growth { at: self.sequence.ids.len(), count: missing });
            }
            let end = self.sequence.ids.len().min(self.regions[answer].range().end);
            self.regions[answer].set_end(end);
        }
        for region in &self.regions {
            if !region.is_completable(&self.sequence.ids, self.sequence.mask_id) {
                let (position, masks) = (region.range().start, region.range().len());
                return Err(match region.shortest() {
                    Some(shortest) if position == prompt_length && shortest > masks => {
                        InferError::AnswerTooShort { shortest, gen_length: self.config.gen_length }
                    }
                    shortest => InferError::Unsatisfiable { position, masks, shortest },
                });
            }
        }
        self.commit_forced();
        Ok(())
    }

    /// Commits the tokens that the constraints leave no choice in. A block that is full with them ends without a forward.
    /// Returns the growth of the sequence, if it grew.
    pub(super) fn commit_forced(&mut self) -> Option<Growth> {
        let mut growth: Option<Growth> = None;
        while !self.regions.is_empty() && !self.is_finished {
            let block = &self.progression.block;
            let mut forced = Vec::new();
            for region in &mut self.regions {
                let is_completable = region.update(&self.sequence.ids, self.sequence.mask_id, block.range.end);
                debug_assert!(is_completable, "a valid completion remains, whatever is committed");
                let in_block = region.forced().filter(|(position, _)| block.range.contains(position));
                forced.extend(in_block.map(|(position, token)| Commit { position, token, confidence: 1.0 }));
            }
            let has_forced = !forced.is_empty();
            self.sequence.record_forced(block.index, forced);
            if !self.leaves_nothing_to_do() {
                // A schedule that was made for more masks would have steps that commit none.
                if has_forced && !self.decoder.is_revocable() {
                    self.reschedule();
                }
                break;
            }
            let grown = self.finish_step(&[], &[], None, true);
            growth = Growth::joined(growth, grown);
        }
        growth
    }

    /// Returns true if the block is full of tokens that cannot be revoked or replaced any more.
    fn leaves_nothing_to_do(&self) -> bool {
        let block = &self.progression.block;
        if self.sequence.masked(block.range.clone()).next().is_some() {
            return false;
        }
        if self.decoder.editing().is_some() {
            let start = block.block_range.start.max(self.sequence.trace.prompt_length);
            return (start..block.block_range.end).all(|position| self.sequence.is_forced(position));
        }
        !self.decoder.is_scheduled() || block.decoded.is_empty()
    }

    /// Drops those edits that would leave no valid answer, once the step's `commits` are made.
    pub(super) fn keep_valid(&self, commits: &[Commit], edits: &mut Vec<Commit>) {
        if self.regions.is_empty() || edits.is_empty() {
            return;
        }
        let mut ids = self.sequence.ids.clone();
        for commit in commits {
            ids[commit.position] = commit.token;
        }
        edits.retain(|edit| {
            let before = std::mem::replace(&mut ids[edit.position], edit.token);
            let is_valid = self.are_completable(&self.regions, &ids);
            if !is_valid {
                ids[edit.position] = before;
            }
            is_valid
        });
    }

    /// Returns the part of a growth that leaves a valid answer possible. A block that is appended was counted from the start.
    pub(super) fn valid_growth(&self, growth: Growth) -> Option<Growth> {
        if self.regions.is_empty() || self.length.grows_by_blocks() {
            return Some(growth);
        }
        let most = growth.count.min(self.max_len() - self.sequence.ids.len());
        (1..=most).rev().map(|count| Growth { count, ..growth }).find(|&growth| {
            let mut regions = self.regions.clone();
            regions.iter_mut().for_each(|region| region.grow(growth.at, growth.count, self.sequence.ids.len()));
            let mut ids = self.sequence.ids.clone();
            ids.splice(growth.at..growth.at, std::iter::repeat_n(self.sequence.mask_id, growth.count));
            self.are_completable(&regions, &ids)
        })
    }

    /// Ends the regions with the sequence, which no longer grows, after it has grown by what a valid answer needs at least.
    pub(super) fn end_regions(&mut self) {
        let length = self.sequence.ids.len();
        let missing = |region: &Region| if region.range().end > length { region.missing() } else { 0 };
        let missing = self.regions.iter().map(missing).max().unwrap_or(0);
        if missing > 0 {
            self.grow(Growth { at: length, count: missing });
        }
        let end = self.sequence.ids.len();
        for region in self.regions.iter_mut().filter(|region| region.range().end > end) {
            region.set_end(end);
        }
    }

    /// Returns true if the answer may end with the ids before `end`.
    pub(super) fn may_end(&self, end: usize) -> bool {
        let start = self.sequence.trace.prompt_length;
        let answer = self.regions.iter().find(|region| region.range().start == start);
        answer.is_none_or(|region| region.accepts(&self.sequence.ids[start..end]))
    }

    fn are_completable(&self, regions: &[Region], ids: &[u32]) -> bool {
        regions.iter().all(|region| region.is_completable(ids, self.sequence.mask_id))
    }
}

impl Sequence {
    /// Adds tokens that are forced to the last step; before the first, to a step without a forward.
    pub(super) fn record_forced(&mut self, block: usize, forced: Vec<Commit>) {
        if forced.is_empty() {
            return;
        }
        if self.trace.steps.is_empty() {
            self.record(block, Vec::new(), Vec::new());
            self.trace.steps[0].nfe = 0;
        }
        let Some(step) = self.trace.steps.last_mut() else { return };
        for commit in &forced {
            self.ids[commit.position] = commit.token;
            step.forced.push(commit.position);
        }
        step.forced.sort_unstable();
        step.commits.extend(forced);
        step.commits.sort_unstable_by_key(|commit| commit.position);
    }

    /// Returns true if the token at a position was forced.
    fn is_forced(&self, position: usize) -> bool {
        self.trace.steps.iter().any(|step| step.forced.binary_search(&position).is_ok())
    }
}
