//! The second half of a step: tokens are committed and revoked, the sequence may grow, and the request moves on to the
//! next step, the next block, or the end.

use std::num::NonZeroUsize;

use llada_core::trace::Commit;

use super::{ActiveBlock, ActiveRequest};
use crate::{
    decoder::{Convention, Editing, Prediction, most_confident},
    length::FinishedStep,
    step::{Growth, StepContext},
};

impl ActiveRequest {
    /// Commits the predictions that the decoder chooses and moves on to the next step. Returns the growth of the sequence,
    /// if it grew.
    ///
    /// `predictions` has masked positions and, if the decoder needs shadows or replaces tokens, decoded ones, by ascending
    /// position.
    pub(super) fn commit(
        &mut self,
        at: &StepContext,
        predictions: &[Prediction],
        eos_confidence: Option<f64>,
    ) -> Option<Growth> {
        let editing = self.decoder.editing();
        let mut edits = Vec::new();
        // If there are shadows, every decoded position was predicted too, and both lists ascend: they are walked together.
        let mut masked = Vec::with_capacity(predictions.len());
        let mut decoded = self.progression.block.decoded.iter_mut();
        for prediction in predictions {
            let token = self.sequence.ids[prediction.position];
            if token == self.sequence.mask_id {
                masked.push(*prediction);
            } else if let Some(Editing { threshold, .. }) = editing {
                if prediction.token != token && prediction.confidence > threshold {
                    let &Prediction { position, token, confidence, .. } = prediction;
                    edits.push(Commit { position, token, confidence });
                }
            } else if let Some(commit) = decoded.next() {
                commit.confidence = prediction.confidence;
            }
        }
        let predictions = masked;
        let chosen = self.choose(at, &predictions);
        let mut revoked = Vec::new();
        // The last step before the deadline fills the block, so it must not open it again.
        if self.progression.block.has_time() {
            self.decoder.revoke(at, chosen.len(), &self.progression.block.decoded, &mut revoked);
        }
        let mut commits = Vec::with_capacity(chosen.len());
        for &index in &chosen {
            let Prediction { position, token, confidence, .. } = predictions[index];
            commits.push(Commit { position, token, confidence });
        }
        self.keep_valid(&commits, &mut edits);
        let has_edits = !edits.is_empty();
        commits.extend(edits);
        commits.sort_unstable_by_key(|commit| commit.position);
        let block = &mut self.progression.block;
        if self.decoder.is_revocable() {
            block.decoded.retain(|commit| revoked.binary_search(&commit.position).is_err());
            block.decoded.extend(&commits);
            block.decoded.sort_unstable_by_key(|commit| commit.position);
        }
        block.previous_commits = commits.len();
        block.step += 1;
        self.sequence.record(at.block_index, commits, revoked);
        // Whether the block has ended is decided before the growth: new masks may lie inside of it, and a block that was
        // full ends all the same.
        let block_has_ended = match editing {
            Some(Editing { max_post_steps, .. }) => {
                self.edited_block_has_ended(predictions.is_empty(), has_edits, max_post_steps)
            }
            None => self.block_has_ended(),
        };
        self.finish_step(&predictions, &chosen, eos_confidence, block_has_ended)
    }

    /// Lets the sequence grow after a step and, if its block has ended, moves on to the next one or to the end. Returns the
    /// growth of the sequence, if it grew.
    pub(super) fn finish_step(
        &mut self,
        predictions: &[Prediction],
        chosen: &[usize],
        eos_confidence: Option<f64>,
        block_has_ended: bool,
    ) -> Option<Growth> {
        if block_has_ended && self.stop_is_reached() {
            self.is_finished = true;
            return None;
        }
        let growth = self.growth(predictions, chosen, eos_confidence, block_has_ended);
        let growth = growth.and_then(|growth| self.valid_growth(growth)).map(|growth| self.grow(growth));
        if block_has_ended {
            self.progression.block.decoded.clear();
            self.is_finished = self.progression.block.range.end == self.sequence.ids.len();
            if !self.is_finished {
                self.start_block(self.progression.block.index + 1);
            }
        }
        growth
    }

    /// Returns the indices of the predictions to commit: the decoder's choice, or more if the deadline requires it.
    pub(super) fn choose(&self, at: &StepContext, predictions: &[Prediction]) -> Vec<usize> {
        let mut chosen = Vec::new();
        if !predictions.is_empty() {
            self.decoder.choose(at, predictions, &mut chosen);
        }
        // A scheduled decoder needs no help: its schedule was made to end before the deadline.
        if !self.decoder.is_scheduled() {
            let min_commits = self.progression.block.min_commits(at.block_step, predictions.len());
            if chosen.len() < min_commits {
                most_confident(predictions, min_commits, &mut chosen);
            }
        }
        chosen
    }

    /// Asks the length policy for the growth of the sequence after the step.
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
            block_length: self.progression.block_length,
            block_has_ended,
            prompt_length: self.sequence.trace.prompt_length,
            predictions,
            chosen,
            eos: self.eos,
            eos_confidence,
        })
    }

    /// Inserts masks into the sequence and shifts everything that refers to its positions.
    pub(super) fn grow(&mut self, growth: Growth) -> Growth {
        let length = self.sequence.ids.len();
        let growth = self.sequence.grow(growth);
        self.regions.iter_mut().for_each(|region| region.grow(growth.at, growth.count, length));
        let states = std::mem::take(&mut self.position_states);
        self.position_states = states.into_iter().map(|(position, state)| (growth.moved(position), state)).collect();
        // If the end of the sequence had truncated the block, it is extended to its full length.
        let block = &mut self.progression.block;
        let end = block.block_range.start + self.progression.block_length;
        block.block_range.end = end.min(self.sequence.ids.len());
        block.range.end = block.block_range.end;
        // The cached keys and values belong to the positions before the growth. A block that is appended moves none of them,
        // and the step after it computes the block.
        let survives = self.cache.as_ref().is_some_and(|cache| cache.survives_growth());
        self.needs_refresh |= !(survives && self.length.grows_by_blocks());
        growth
    }

    /// Starts the block that follows the current one.
    pub(super) fn start_block(&mut self, index: usize) {
        let start = self.progression.block.block_range.end;
        // Masks before the block were decoded along with it, and are as new as the block. A block without a step, whose tokens
        // were all known, has made nothing of what came before it final.
        let last = &self.progression.block;
        let previous = if last.step == 0 { last.previous.min(last.range.start) } else { last.range.start };
        let end = self.sequence.ids.len().min(start + self.progression.block_length);
        // Masks before the block, in the prompt or left by earlier blocks, are decoded along with it.
        let first = self.sequence.masked(0..end).next().unwrap_or(start);
        self.progression.block = ActiveBlock {
            index,
            block_range: start..end,
            range: first.min(start)..end,
            masks: self.sequence.masked(first.min(start)..end).count(),
            previous,
            ..Default::default()
        };
        self.progression.block.deadline = self.progression.deadline(self.max_len());
        self.reschedule();
    }

    /// Plans the remaining steps of the block. The schedule of the steps that have been taken stays as it is.
    pub(super) fn reschedule(&mut self) {
        let block = &self.progression.block;
        // The reference does not count the masks of the prompt.
        let counted = if self.config.reference_compat { &block.block_range } else { &block.range };
        let masked = self.sequence.masked(counted.clone()).count();
        // A sequence that grows may have more blocks than the plan; they take as many steps as its last one.
        let planned = self.plan.steps(block.index.min(self.plan.blocks() - 1)).get();
        let left = planned.saturating_sub(block.step).min(block.deadline - block.step);
        let steps = NonZeroUsize::new(left).unwrap_or(NonZeroUsize::MIN);
        let mut schedule = self.decoder.schedule(masked, steps);
        if self.progression.forwards_left.is_some() || !self.regions.is_empty() {
            // Trailing steps that commit nothing would waste forwards.
            while schedule.last() == Some(&0) {
                schedule.pop();
            }
        }
        let block = &mut self.progression.block;
        // In the middle of a block there is always one more step, which ends it.
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
        // Fast-dLLM's code runs a second forward even if the first one has filled the cached block.
        let has_second_forward = self.config.reference_compat && self.cache.is_some() && block.step == 1;
        !has_second_forward && self.sequence.masked(block.range.clone()).next().is_none()
    }

    /// Returns true if the last step has committed an end-of-text.
    fn commits_end(&self) -> bool {
        let last = self.sequence.trace.steps.last();
        last.is_some_and(|step| step.commits.iter().any(|commit| commit.token == self.eos))
    }

    /// Returns true if a block whose tokens may be replaced has ended. Once it is full it has up to `max_post_steps` steps
    /// more, and ends at the first that replaces nothing.
    fn edited_block_has_ended(&mut self, was_full: bool, has_edits: bool, max_post_steps: usize) -> bool {
        let block = &mut self.progression.block;
        if self.sequence.masked(block.range.clone()).next().is_some() {
            return false;
        }
        block.post_steps += 1;
        let is_settled = was_full && !has_edits;
        is_settled || block.post_steps > max_post_steps || block.step >= block.deadline
    }

    /// Returns true if the request's stop condition ends the answer with the block, which is complete. The answer then has
    /// no tokens after it.
    fn stop_is_reached(&mut self) -> bool {
        let prompt_length = self.sequence.trace.prompt_length;
        let end = self.progression.block.block_range.end.max(prompt_length);
        let Some(stop) = &self.stop else { return false };
        let is_reached = stop.is_reached(&self.sequence.ids[prompt_length..end]) && self.may_end(end);
        if is_reached {
            self.output_length = Some(end - prompt_length);
        }
        is_reached
    }

    /// Finishes the request if the settled part of the answer has an end-of-text token.
    pub(super) fn stop(&mut self) {
        let prompt_length = self.sequence.trace.prompt_length;
        // LLaDA2.0's code looks for the end when it comes up, and when a block is complete, but not when the last mask
        // before it is filled.
        if self.decoder.convention() == Convention::Llada2
            && self.decoder.editing().is_none()
            && self.progression.block.step > 0
            && !self.commits_end()
        {
            return;
        }
        let settled = &self.sequence.ids[prompt_length..self.settled().max(prompt_length)];
        if let Some(end) = settled.iter().position(|&id| id == self.eos) {
            self.output_length = Some(end + 1);
            self.is_finished = true;
        }
    }
}
