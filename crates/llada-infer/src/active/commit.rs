//! What a step does to its request: tokens committed and taken back, growth, and the way to the next step, the next
//! block, or the end.

use std::num::NonZeroUsize;

use llada_core::trace::Commit;

use super::{ActiveBlock, ActiveRequest};
use crate::{
    decoder::{Prediction, most_confident},
    length::FinishedStep,
    step::{Growth, StepContext},
};

impl ActiveRequest {
    /// Lets the decoder choose among `predictions`, writes what it chose, and moves on.
    pub(super) fn commit(
        &mut self,
        at: &StepContext,
        predictions: &[Prediction],
        eos_confidence: Option<f64>,
    ) -> Option<Growth> {
        let is_draft = |prediction: &Prediction| self.sequence.ids[prediction.position] == self.sequence.mask_id;
        let (predictions, verified): (Vec<_>, Vec<_>) = predictions.iter().copied().partition(is_draft);
        let block = &mut self.progression.block;
        // What is verified are the decoded positions, in the same order.
        for (commit, verified) in block.decoded.iter_mut().zip(&verified) {
            commit.confidence = verified.confidence;
        }
        let chosen = self.choose(at, &predictions);
        let mut revoked = Vec::new();
        // The last step that the budget allows fills the block.
        if self.progression.block.has_time() {
            self.decoder.revoke(at, chosen.len(), &self.progression.block.decoded, &mut revoked);
        }
        let mut commits = Vec::with_capacity(chosen.len());
        for &index in &chosen {
            let Prediction { position, token, confidence, .. } = predictions[index];
            commits.push(Commit { position, token, confidence });
        }
        let block = &mut self.progression.block;
        if self.decoder.is_revocable() {
            block.decoded.retain(|commit| revoked.binary_search(&commit.position).is_err());
            block.decoded.extend(&commits);
            block.decoded.sort_unstable_by_key(|commit| commit.position);
        }
        block.previous_commits = commits.len();
        block.step += 1;
        self.sequence.record(at.block_index, commits, revoked);
        let block_has_ended = self.block_has_ended();
        let growth = self.growth(&predictions, &chosen, eos_confidence, block_has_ended);
        let growth = growth.map(|growth| self.grow(growth));
        if block_has_ended {
            self.progression.block.decoded.clear();
            self.is_finished = self.progression.block.range.end == self.sequence.ids.len();
            if !self.is_finished {
                self.start_block(at.block_index + 1);
            }
        }
        growth
    }

    /// The indices of the predictions that the step commits: the decoder's choice, or more if the deadline demands it.
    fn choose(&self, at: &StepContext, predictions: &[Prediction]) -> Vec<usize> {
        let mut chosen = Vec::new();
        if !predictions.is_empty() {
            self.decoder.choose(at, predictions, &mut chosen);
        }
        if !self.decoder.is_scheduled() {
            let masked = self.sequence.masked(at.block.clone()).count();
            let min_commits = self.progression.block.min_commits(masked);
            if chosen.len() < min_commits {
                most_confident(predictions, min_commits, &mut chosen);
            }
        }
        chosen
    }

    /// How the sequence is to grow after a step.
    fn growth(
        &self,
        predictions: &[Prediction],
        chosen: &[usize],
        eos_confidence: Option<f64>,
        block_has_ended: bool,
    ) -> Option<Growth> {
        if self.sequence.ids.len() >= self.max_len() {
            return None;
        }
        self.length.after_step(&FinishedStep {
            ids: &self.sequence.ids,
            block: &self.sequence.ids[self.progression.block.block_range.clone()],
            block_length: self.progression.block_length,
            block_has_ended,
            prompt_length: self.sequence.trace.prompt_length,
            predictions,
            chosen,
            eos: self.eos,
            eos_confidence,
        })
    }

    /// Puts masks into the sequence, and moves what goes by its positions.
    pub(super) fn grow(&mut self, growth: Growth) -> Growth {
        let growth = self.sequence.grow(growth);
        let states = std::mem::take(&mut self.position_states);
        self.position_states = states.into_iter().map(|(position, state)| (growth.moved(position), state)).collect();
        // A block that the end of the sequence cut short has room now.
        let block = &mut self.progression.block;
        let end = block.block_range.start + self.progression.block_length;
        block.block_range.end = end.min(self.sequence.ids.len());
        block.range.end = block.block_range.end;
        self.needs_refresh = true;
        growth
    }

    pub(super) fn start_block(&mut self, index: usize) {
        let start = self.progression.block.block_range.end;
        let end = self.sequence.ids.len().min(start + self.progression.block_length);
        let first = self.sequence.masked(0..end).next().unwrap_or(start);
        self.progression.block =
            ActiveBlock { index, block_range: start..end, range: first.min(start)..end, ..Default::default() };
        self.progression.block.deadline = self.progression.deadline(self.max_len());
        self.reschedule();
    }

    /// Plans the steps of the block that are left.
    pub(super) fn reschedule(&mut self) {
        let block = &self.progression.block;
        // The reference does not count the masks that the prompt has.
        let counted = if self.config.reference_compat { &block.block_range } else { &block.range };
        let masked = self.sequence.masked(counted.clone()).count();
        let planned = self.plan.steps(block.index.min(self.plan.blocks() - 1)).get();
        let left = planned.saturating_sub(block.step).min(block.deadline - block.step);
        let steps = NonZeroUsize::new(left).unwrap_or(NonZeroUsize::MIN);
        let mut schedule = self.decoder.schedule(masked, steps);
        if self.progression.forwards_left.is_some() {
            // A budget is not spent on steps that commit nothing.
            schedule.truncate(schedule.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1));
        }
        let block = &mut self.progression.block;
        if block.step > 0 && schedule.is_empty() {
            schedule.push(0);
        }
        block.schedule.truncate(block.step);
        block.schedule.extend(schedule);
    }

    fn block_has_ended(&self) -> bool {
        let block = &self.progression.block;
        if self.decoder.is_scheduled() {
            return block.step >= block.schedule.len();
        }
        let second_forward = self.config.reference_compat && self.cache.is_some() && block.step == 1;
        !second_forward && self.sequence.masked(block.range.clone()).next().is_none()
    }

    /// Ends at the first end-of-text of the answer that has no mask before it, and will have none, if there is one.
    pub(super) fn stop(&mut self) {
        let prompt_length = self.sequence.trace.prompt_length;
        let settled = &self.sequence.ids[prompt_length..self.settled().max(prompt_length)];
        if let Some(end) = settled.iter().position(|&id| id == self.eos) {
            self.output_length = Some(end + 1);
            self.is_finished = true;
        }
    }
}
