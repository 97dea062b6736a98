//! One request on its way from masks to tokens. Between two steps it is always ready for the next: what it wants of the
//! model is collected, so that anybody may ask what the step will cost.

mod commit;
mod progression;
mod sequence;
mod step;

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use llada_core::{
    block::BlockPlan,
    predictor::{CacheSlot, Recompute},
};

use crate::{
    Generation, InferError, Request, SamplerConfig,
    cache::Cache,
    decoder::{Decoder, PositionState},
    length::LengthPolicy,
    vocabulary::Vocabulary,
};
use progression::{ActiveBlock, Progression};
use sequence::Sequence;

/// The state of one request.
pub(crate) struct ActiveRequest {
    config: SamplerConfig,
    decoder: Arc<dyn Decoder>,
    cache: Option<Arc<dyn Cache>>,
    length: Box<dyn LengthPolicy>,
    plan: BlockPlan,
    eos: u32,
    sequence: Sequence,
    progression: Progression,
    /// What the decoder keeps of each masked position, if it keeps anything.
    position_states: BTreeMap<usize, Box<dyn PositionState>>,
    /// The positions that the next forward predicts, ascending: the masks of the block, none if the step commits nothing;
    /// the decoded positions that it verifies; and, if it asks how sure the model is that the answer ends, the masks
    /// after the block.
    wanted: Vec<usize>,
    /// What the next forward computes.
    recompute: Recompute,
    /// Whether what the cache keeps is of another sequence, or nothing: the next forward computes everything.
    needs_refresh: bool,
    /// Whether the next step asks how sure the model is that the answer ends.
    needs_eos_confidence: bool,
    /// Where the rows with and without the prompt keep their keys and values.
    slots: Vec<CacheSlot>,
    is_finished: bool,
    /// The tokens of the answer to hand out, if it has stopped early.
    output_length: Option<usize>,
}

impl ActiveRequest {
    /// The request before its first step.
    ///
    /// # Errors
    /// An option is impossible, or prompt and answer together are too long.
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
        if let Some(cache) = &cache {
            cache.validate()?;
        }
        let plan = config.validate_with(masked_in_prompt, decoder.as_ref())?;
        let length = config.length.build();
        let answer_length = length.initial_length(config.gen_length, plan.block_length());
        let sequence = Sequence::new(prompt, answer_length, max_len, vocabulary.mask_id);
        // Without an answer the masks of the prompt are one block, from the first id to the last.
        let (start, block_length) = match config.gen_length {
            0 => (0, sequence.ids.len()),
            _ => (prompt.len(), plan.block_length()),
        };
        let block = ActiveBlock { block_range: start..start, ..Default::default() };
        let mut active = Self {
            decoder,
            cache,
            length,
            plan,
            eos: vocabulary.special.eos,
            sequence,
            progression: Progression { block_length, forwards_left: config.max_nfe, is_hurried: false, block },
            config: config.clone(),
            position_states: BTreeMap::new(),
            wanted: Vec::new(),
            recompute: Recompute::All,
            needs_refresh: false,
            needs_eos_confidence: false,
            slots: Vec::new(),
            is_finished: false,
            output_length: None,
        };
        active.start_block(0);
        active.prepare();
        Ok(active)
    }

    /// The number of slots that its rows keep their keys and values under.
    pub(crate) fn slots_needed(&self) -> usize {
        if self.cache.is_none() {
            return 0;
        }
        // Guidance keeps its own keys and values.
        if self.is_guided() { 2 } else { 1 }
    }

    /// Gives it [as many slots as it needs](Self::slots_needed).
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

    /// Whether a step runs the sequence without its prompt too.
    pub(crate) fn is_guided(&self) -> bool {
        self.config.cfg_scale > 0.0
    }

    /// The scale of guidance.
    pub(crate) fn cfg_scale(&self) -> f32 {
        self.config.cfg_scale
    }

    /// What the next forward computes.
    pub(crate) fn recompute(&self) -> &Recompute {
        &self.recompute
    }

    /// The length of the prefix that no later step changes.
    pub(crate) fn settled(&self) -> usize {
        let revocable = self.progression.block.decoded.first().map(|commit| commit.position);
        self.sequence.settled(revocable)
    }

    /// The most forwards that it takes from here, if that is known.
    pub(crate) fn forwards_left(&self) -> Option<usize> {
        let block = &self.progression.block;
        if !self.decoder.is_scheduled() {
            return self.progression.forwards_left;
        }
        let of_block = block.schedule.len().saturating_sub(block.step);
        let later = (block.index + 1..self.plan.blocks()).map(|index| self.plan.steps(index).get());
        let scheduled = later.fold(of_block, usize::saturating_add);
        Some(self.progression.forwards_left.map_or(scheduled, |left| left.min(scheduled)))
    }

    /// Makes the next forward compute everything. Returns whether it was going to reuse something.
    pub(crate) fn refresh(&mut self) -> bool {
        let reused = !self.recompute.is_whole(self.sequence.ids.len());
        self.needs_refresh = true;
        self.prepare();
        reused
    }

    /// Limits the forwards that it takes from here. Its answer grows no more, and where there are more blocks left than
    /// forwards, blocks become longer.
    pub(crate) fn hurry(&mut self, forwards: NonZeroUsize) {
        if self.forwards_left().is_some_and(|left| left <= forwards.get()) {
            return;
        }
        let Progression { block_length, forwards_left, is_hurried, block } = &mut self.progression;
        let forwards = forwards_left.map_or(forwards.get(), |left| left.clamp(1, forwards.get()));
        (*forwards_left, *is_hurried) = (Some(forwards), true);
        let end = self.sequence.ids.len();
        *block_length = (*block_length).max((end - block.block_range.start).div_ceil(forwards));
        block.block_range.end = end.min(block.block_range.start + *block_length);
        block.range.end = block.block_range.end;
        let deadline = self.progression.deadline(end);
        self.progression.block.deadline = deadline;
        self.reschedule();
        self.prepare();
    }

    /// The answer, or what there is of it.
    pub(crate) fn into_generation(self) -> Generation {
        let Sequence { mut ids, trace, .. } = self.sequence;
        let mut output = ids.split_off(trace.prompt_length);
        output.truncate(self.output_length.unwrap_or(usize::MAX));
        Generation { prompt: ids, output, nfe: trace.steps.iter().map(|step| step.nfe).sum(), trace }
    }

    /// The answer grows no longer than this.
    fn max_len(&self) -> usize {
        if self.progression.is_hurried { self.sequence.ids.len() } else { self.sequence.max_len }
    }
}
