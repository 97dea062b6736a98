//! The first half of a step: the rows that it needs from the model, and the predictions made from them.

use llada_core::predictor::{Hidden, Recompute, Row};

use super::{ActiveRequest, Sequence};
use crate::{
    InferError,
    decoder::Prediction,
    end_think::boost,
    length::eos_confidence,
    logits::LogitsReader,
    prediction::Stages,
    step::{Growth, StepContext},
    vocabulary::Vocabulary,
};

impl ActiveRequest {
    /// Appends the rows of the next forward: the sequence and, under guidance, the sequence without its prompt, then the
    /// same of each drafted state. A step that wants no position has no rows, nor does what was forced from the start.
    pub(crate) fn push_rows<'a>(&'a self, rows: &mut Vec<Row<'a>>) {
        if self.wanted.is_empty() || self.has_unobserved() {
            return;
        }
        let Sequence { ids, unconditional, .. } = &self.sequence;
        self.push_state([ids, unconditional], &self.wanted, rows);
        for draft in &self.speculation.drafts {
            self.push_state([&draft.ids, &draft.unconditional], &draft.wanted, rows);
        }
    }

    /// Appends the rows of one state, with the ids and, for guidance, those without the prompt.
    fn push_state<'a>(&'a self, ids: [&'a [u32]; 2], wanted: &'a [usize], rows: &mut Vec<Row<'a>>) {
        let count = if self.is_guided() { 2 } else { 1 };
        rows.extend(ids.into_iter().take(count).enumerate().map(|(slot, ids)| self.row(ids, wanted, slot)));
    }

    /// Returns the row of `ids`, with the slot of that index.
    fn row<'a>(&'a self, ids: &'a [u32], wanted: &'a [usize], slot: usize) -> Row<'a> {
        Row {
            ids: &ids[..self.row.length()],
            positions: self.row.positions(),
            wanted,
            shadowed: self.decoder.needs_shadows(),
            cache: self.slots.get(slot).copied(),
            recompute: self.recompute.clone(),
            measures_drift: slot == 0 && self.drift_limit.is_some(),
            block_length: self.config.block_length,
        }
    }

    /// Takes a step at that load of the engine with the results of a forward over the request's rows. Returns the growth of
    /// the sequence, if it grew.
    ///
    /// # Errors
    /// If the predictor fails or its logits are not finite.
    pub(crate) fn step<H: Hidden>(
        &mut self,
        reader: &mut LogitsReader<'_, H>,
        vocabulary: &Vocabulary,
        predictions: &mut Vec<Prediction>,
        load: f32,
    ) -> Result<Option<Growth>, InferError> {
        self.load = load;
        let at = self.context();
        // This reads logits before the stages below change them in place.
        let mut confidence = None;
        if self.needs_eos_confidence {
            confidence = Some(eos_confidence(reader, vocabulary, &self.sequence.ids, at.prompt_length, &self.wanted)?);
        }
        if !self.wanted.is_empty() {
            self.needs_refresh = match self.drift_limit {
                // What is not known counts as too far.
                Some(limit) => reader.drift()?.is_none_or(|drift| drift.is_nan() || drift > limit),
                None => false,
            };
        }
        if let Some(left) = &mut self.progression.forwards_left {
            *left = left.saturating_sub(1);
        }
        let grows = self.length.before_step(&at, confidence).and_then(|growth| self.valid_growth(growth));
        let growth = if let Some(growth) = grows {
            self.sequence.record(at.block_index, Vec::new(), Vec::new());
            Some(self.grow(growth))
        } else {
            let first_mask = self.sequence.masked(at.block.clone()).next();
            let stages = Stages::new(&self.config, self.decoder.as_ref(), vocabulary, &at)
                .with_regions(&self.regions)
                .with_boost(first_mask.and_then(|position| {
                    let answer = &self.sequence.ids[at.prompt_length..];
                    boost(&self.config, answer, at.prompt_length, position)
                }));
            // Masks after the block are wanted for `eos_confidence` only.
            let wanted = &self.wanted[..self.wanted.partition_point(|&position| position < at.block.end)];
            let log_mass =
                stages.predict(reader, &self.sequence.ids, wanted, &mut self.position_states, predictions)?;
            let growth = self.commit(&at, predictions, confidence);
            self.record_logprobs(reader, vocabulary, growth)?;
            if let Some(step) = self.sequence.trace.steps.last_mut() {
                step.log_mass = log_mass;
            }
            growth
        };
        self.record_forward();
        let growth = Growth::joined(growth, self.commit_forced());
        self.keep_predictions(predictions, growth.is_some());
        if self.config.stop_at_eos {
            self.stop();
        }
        if !self.is_finished {
            self.prepare();
        }
        Ok(growth)
    }

    /// Returns the context of the next step.
    pub(super) fn context(&self) -> StepContext {
        let block = &self.progression.block;
        StepContext {
            step: self.sequence.trace.steps.len(),
            prompt_length: self.sequence.trace.prompt_length,
            length: self.sequence.ids.len(),
            row_length: self.row.length(),
            block_index: block.index,
            block_length: self.progression.block_length,
            gen_length: self.config.gen_length,
            previous_block: block.previous,
            block: block.range.clone(),
            block_masks: block.masks,
            block_step: block.step,
            block_steps: block.schedule.len(),
            scheduled_commits: block.scheduled_commits(),
            previous_commits: block.previous_commits,
            has_shadows: self.decoder.needs_shadows(),
            seed: self.config.seed,
            load: self.load,
        }
    }

    /// Determines the positions that the next step wants and those that its forward computes. A step that commits nothing
    /// wants none and has no forward.
    pub(super) fn prepare(&mut self) {
        // What is kept belongs to the row that was computed last.
        self.needs_refresh |= self.row.update(&self.config, &self.progression.block, self.sequence.ids.len());
        let at = self.context();
        // The flag is cleared by the next forward only: a refresh is not lost if the step that it is due in has no forward.
        self.needs_refresh |= self.cache.as_ref().is_some_and(|cache| cache.is_refreshed(&at));
        self.recompute = self.recompute_at(&at, self.needs_refresh);
        self.wanted.clear();
        if self.is_finished {
            return;
        }
        if !self.decoder.is_scheduled() || at.scheduled_commits > 0 {
            self.wanted.extend(self.sequence.masked(at.block.clone()));
        }
        if self.decoder.editing().is_some() {
            let end = at.block.end;
            let start = self.progression.block.block_range.start.max(at.prompt_length).min(end);
            self.wanted.extend((start..end).filter(|&position| self.sequence.ids[position] != self.sequence.mask_id));
            self.wanted.sort_unstable();
        }
        if self.decoder.needs_shadows() {
            self.wanted.extend(self.progression.block.decoded.iter().map(|commit| commit.position));
            self.wanted.sort_unstable();
        }
        self.position_states.retain(|position, _| self.wanted.binary_search(position).is_ok());
        for &position in &self.wanted {
            if !self.position_states.contains_key(&position)
                && let Some(state) = self.decoder.position_state()
            {
                self.position_states.insert(position, state);
            }
        }
        // Only a full forward computes the positions after the block; between two of them the cache reuses them.
        self.needs_eos_confidence = self.length.needs_eos_confidence()
            && self.sequence.ids.len() < self.max_len()
            && self.recompute.is_whole(self.row.length());
        if self.needs_eos_confidence {
            self.wanted.extend(self.sequence.masked(at.block.end..self.sequence.ids.len()));
        }
        let measuring = self.cache.as_ref().filter(|_| !self.needs_refresh);
        self.drift_limit = measuring.and_then(|cache| cache.drift_limit(&at));
        if self.is_guided() {
            self.sequence.update_unconditional();
        }
    }

    /// Returns the positions that a step computes.
    pub(super) fn recompute_at(&self, at: &StepContext, needs_refresh: bool) -> Recompute {
        match &self.cache {
            None => Recompute::All,
            Some(cache) if needs_refresh => cache.refresh(at),
            Some(cache) => cache.recompute(at),
        }
    }
}
