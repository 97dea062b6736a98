//! A request that is being decoded.
//!
//! Between two steps a request is always prepared for the next one: the positions that it wants and those that it
//! recomputes are known, so the cost of the step can be asked for before it is taken.

mod aligned;
mod commit;
mod constrained;
mod logprobs;
mod progression;
mod sequence;
mod speculation;
mod step;
mod window;

use std::{collections::BTreeMap, num::NonZeroUsize, ops::Range, sync::Arc};

use llada_core::{
    block::BlockPlan,
    predictor::{CacheSlot, Recompute},
};

use crate::{
    Generation, InferError, Request, SamplerConfig, Stop,
    cache::Cache,
    constraint::{self, Region},
    decoder::{Convention, Decoder, PositionState},
    length::LengthPolicy,
    vocabulary::Vocabulary,
};
use aligned::Aligned;
use progression::{ActiveBlock, Progression};
use sequence::Sequence;
use speculation::Speculation;
use window::BlockRow;

/// The state of one request.
pub(crate) struct ActiveRequest {
    config: SamplerConfig,
    decoder: Arc<dyn Decoder>,
    cache: Option<Arc<dyn Cache>>,
    stop: Option<Arc<dyn Stop>>,
    length: Box<dyn LengthPolicy>,
    plan: BlockPlan,
    eos: u32,
    sequence: Sequence,
    progression: Progression,
    row: BlockRow,
    /// The constrained parts of the sequence.
    regions: Vec<Region>,
    /// The decoder's state of each masked position of the block, if the decoder has such a state.
    position_states: BTreeMap<usize, Box<dyn PositionState>>,
    /// The positions that the next forward predicts, in ascending order: the masks of the block, unless the step commits
    /// nothing; the decoded positions that have shadows; and, if the step needs the confidence that the answer ends, the
    /// masks after the block.
    wanted: Vec<usize>,
    /// The positions that the next forward computes.
    recompute: Recompute,
    speculation: Speculation,
    /// The load of the engine in the last step.
    load: f32,
    /// True if the cache is empty or holds another sequence, so that the next forward must compute everything.
    needs_refresh: bool,
    /// How far the next forward may move values before the one after it must compute everything, if that is measured.
    drift_limit: Option<f32>,
    /// True if the next step needs the confidence that the answer ends.
    needs_eos_confidence: bool,
    /// The cache slots of the row with the prompt and, under guidance, of the row without it.
    slots: Vec<CacheSlot>,
    is_finished: bool,
    /// The number of answer tokens to return, if the request has stopped at an end-of-text token.
    output_length: Option<usize>,
    /// The number of steps that have been handed to the observer.
    observed: usize,
    /// The number of alternatives whose log-probabilities are recorded with those of the commits.
    top_logprobs: Option<usize>,
}

impl ActiveRequest {
    /// Prepares a request for its first step.
    ///
    /// # Errors
    /// If an option is invalid, an id is unknown, or prompt and answer together are too long.
    pub(crate) fn new(
        request: &Request,
        vocabulary: &Vocabulary,
        max_sequence_length: usize,
    ) -> Result<Self, InferError> {
        let Request { prompt, config, .. } = request;
        if config.confidence_eos_eot_inf && config.deferred(vocabulary.special).next().is_none() {
            return Err(InferError::NothingDeferred);
        }
        if let Some(position) = prompt.iter().position(|&id| !vocabulary.knows(id)) {
            return Err(InferError::UnknownId { id: prompt[position], position, limit: vocabulary.end() });
        }
        let max_len = prompt.len().saturating_add(config.gen_length);
        if max_len > max_sequence_length {
            let (prompt, gen_length) = (prompt.len(), config.gen_length);
            return Err(InferError::TooLong { prompt, gen_length, max_sequence_length });
        }
        let masked_in_prompt = prompt.iter().filter(|&&id| id == vocabulary.mask_id).count();
        let decoder = request.decoder.clone().unwrap_or_else(|| config.decoder.build());
        let cache = request.cache.clone().or_else(|| config.cache.build());
        let plan = config.validate_with(masked_in_prompt, decoder.as_ref(), cache.as_deref())?;
        let length = config.length.build();
        let (mut start, mut block_length) = (prompt.len(), plan.block_length());
        let (mut answer_length, mut max_len) = (length.initial_length(config.gen_length, block_length), max_len);
        if config.aligned_blocks {
            block_length = config.block_length.unwrap_or(config.gen_length).max(1);
            start -= start % block_length;
            let canvas = Aligned { prompt_length: prompt.len(), block_length, max_sequence_length };
            let first = if length.grows_by_blocks() { 1 } else { answer_length };
            (answer_length, max_len) = (canvas.end(prompt.len() + first) - prompt.len(), canvas.end(max_len));
            canvas.check_budget(config.max_nfe, max_len)?;
        }
        let sequence = Sequence::new(prompt, answer_length, max_len, vocabulary.mask_id);
        // If there is no answer to generate, the whole prompt is one block.
        if config.gen_length == 0 {
            (start, block_length) = (0, sequence.ids.len());
        }
        // An empty block before the first one, for `start_block` to follow.
        let block =
            ActiveBlock { previous: start, block_range: start..start, range: start..start, ..Default::default() };
        let mut active = Self {
            decoder,
            cache,
            stop: request.stop.clone(),
            length,
            plan,
            eos: vocabulary.special.eos,
            sequence,
            progression: Progression { block_length, forwards_left: config.max_nfe, is_hurried: false, block },
            row: BlockRow::default(),
            config: config.clone(),
            regions: constraint::regions(request, vocabulary)?,
            position_states: BTreeMap::new(),
            wanted: Vec::new(),
            recompute: Recompute::All,
            speculation: Speculation::default(),
            load: 0.0,
            needs_refresh: true,
            drift_limit: None,
            needs_eos_confidence: false,
            slots: Vec::new(),
            is_finished: false,
            output_length: None,
            observed: 0,
            top_logprobs: request.top_logprobs,
        };
        active.start_block(0);
        active.start_constrained()?;
        active.prepare();
        Ok(active)
    }

    /// Returns the number of cache slots that the request uses.
    pub(crate) fn slots_needed(&self) -> usize {
        if self.cache.is_none() {
            return 0;
        }
        // The row without the prompt has its own keys and values.
        if self.is_guided() { 2 } else { 1 }
    }

    /// Assigns [as many slots as the request uses](Self::slots_needed).
    pub(crate) fn set_slots(&mut self, slots: Vec<CacheSlot>) {
        self.slots = slots;
    }

    pub(crate) fn slots(&self) -> &[CacheSlot] {
        &self.slots
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.is_finished
    }

    pub(crate) fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    /// Returns true if a forward also has the sequence without its prompt.
    pub(crate) fn is_guided(&self) -> bool {
        self.config.cfg_scale > 0.0
    }

    /// Returns the scale of guidance; 0 means none.
    pub(crate) fn cfg_scale(&self) -> f32 {
        self.config.cfg_scale
    }

    /// Returns the positions that the next forward computes.
    pub(crate) fn recompute(&self) -> &Recompute {
        &self.recompute
    }

    /// Returns the length of the prefix that no later step can change.
    pub(crate) fn settled(&self) -> usize {
        let mut revocable = self.progression.block.decoded.first().map(|commit| commit.position);
        if self.decoder.editing().is_some() && !self.is_finished {
            revocable = Some(self.progression.block.block_range.start.max(self.sequence.trace.prompt_length));
        }
        self.sequence.settled(revocable)
    }

    /// Returns true if the observer has not been told of a step.
    pub(crate) fn has_unobserved(&self) -> bool {
        self.observed < self.sequence.trace.steps.len()
    }

    /// Returns the numbers of the steps that the observer has not been told of. From now on it has.
    pub(crate) fn unobserved(&mut self) -> Range<usize> {
        let taken = self.sequence.trace.steps.len();
        std::mem::replace(&mut self.observed, taken)..taken
    }

    /// Returns an upper bound of the remaining forwards, if there is one.
    pub(crate) fn forwards_left(&self) -> Option<usize> {
        let block = &self.progression.block;
        if !self.decoder.is_scheduled() {
            return self.progression.forwards_left;
        }
        let mut scheduled = block.schedule.len().saturating_sub(block.step);
        for index in block.index + 1..self.plan.blocks() {
            scheduled = scheduled.saturating_add(self.plan.steps(index).get());
        }
        Some(self.progression.forwards_left.map_or(scheduled, |left| left.min(scheduled)))
    }

    /// Makes the next forward compute everything, and the present state alone. Returns true if it would have reused
    /// something, or computed other states too.
    pub(crate) fn refresh(&mut self) -> bool {
        let is_plain = self.recompute.is_whole(self.row.length()) && self.speculation.drafts.is_empty();
        self.needs_refresh = true;
        self.drop_drafts();
        self.prepare();
        !is_plain
    }

    /// Limits the number of remaining forwards. From now on the answer does not grow, and if there are more blocks left
    /// than forwards, the blocks become longer.
    pub(crate) fn hurry(&mut self, forwards: NonZeroUsize) {
        if self.forwards_left().is_some_and(|left| left <= forwards.get()) {
            return;
        }
        let progression = &mut self.progression;
        let forwards = match progression.forwards_left {
            Some(left) => left.clamp(1, forwards.get()),
            None => forwards.get(),
        };
        progression.forwards_left = Some(forwards);
        progression.is_hurried = true;
        self.end_regions();
        let progression = &mut self.progression;
        let (start, end) = (progression.block.block_range.start, self.sequence.ids.len());
        // A block takes at least one forward, so what is left must fit into as many blocks as there are forwards.
        progression.block_length = progression.block_length.max((end - start).div_ceil(forwards));
        progression.block.block_range.end = end.min(start + progression.block_length);
        progression.block.range.end = progression.block.block_range.end;
        progression.block.deadline = progression.deadline(end);
        self.reschedule();
        self.commit_forced();
        self.drop_drafts();
        self.prepare();
    }

    /// Returns the answer, with masks in it if the request is not finished.
    pub(crate) fn into_generation(self) -> Generation {
        let Sequence { mut ids, trace, .. } = self.sequence;
        let mut output = ids.split_off(trace.prompt_length);
        output.truncate(self.output_length.unwrap_or(usize::MAX));
        if self.config.aligned_blocks {
            // The last block may reach beyond the answer.
            output.truncate(self.config.gen_length);
        }
        if self.is_finished && self.decoder.convention() == Convention::Llada2 {
            let end = output.iter().position(|&id| id == self.eos);
            output.truncate(end.map_or(output.len(), |end| end + 1));
        }
        Generation { prompt: ids, output, nfe: trace.steps.iter().map(|step| step.nfe).sum(), trace }
    }

    /// Returns the largest length of prompt and answer together.
    fn max_len(&self) -> usize {
        if self.progression.is_hurried { self.sequence.ids.len() } else { self.sequence.max_len }
    }
}
