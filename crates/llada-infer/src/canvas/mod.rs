//! One request on its way from masks to tokens: the sequence, the block it works on, and the block's schedule.

mod growth;

use std::{collections::BTreeMap, mem::take, num::NonZeroUsize, ops::Range};

use llada_core::{
    block::BlockPlan,
    guidance::unconditional_ids,
    predictor::Recompute,
    trace::{Commit, Trace, TraceStep},
};

use crate::{
    InferError, Request, SamplerConfig,
    cache::{Cache, Moment},
    decoder::{Decoder, Memory, Prediction, Step, surest},
    length::LengthKind,
};

/// The state of one request.
pub(crate) struct Canvas {
    pub(crate) config: SamplerConfig,
    pub(crate) decoder: Box<dyn Decoder>,
    cache: Option<Box<dyn Cache>>,
    plan: BlockPlan,
    mask_id: u32,
    pub(crate) eos: u32,
    pub(crate) ids: Vec<u32>,
    /// How long they may become.
    longest: usize,
    /// How sure the model is that the answer ends, if the current step asks.
    pub(crate) eos_confidence: Option<f64>,
    /// Whether they are longer than in the step before.
    has_grown: bool,
    /// Whether a position was given, not masked, at the start.
    prompt_index: Vec<bool>,
    block: Block,
    /// The masked positions that the current step may commit, none if it commits nothing; those that it verifies; and,
    /// if it asks how sure the model is that the answer ends, the masks after the block.
    pub(crate) wanted: Vec<usize>,
    /// What the decoder keeps of each of them, if it keeps anything.
    pub(crate) memories: BTreeMap<usize, Box<dyn Memory>>,
    /// The sequence without its prompt, for guidance.
    pub(crate) unconditional: Vec<u32>,
    pub(crate) trace: Trace,
    pub(crate) finished: bool,
    /// Tokens of the answer to hand out at most.
    output_length: usize,
}

/// The block that is being decoded.
#[derive(Default)]
struct Block {
    index: usize,
    /// The positions that may be committed lie here: the block's, and masks left before it.
    range: Range<usize>,
    /// Tokens that the steps of its schedule commit.
    schedule: Vec<usize>,
    step: usize,
    /// What its steps committed and may still revoke, by ascending position.
    decoded: Vec<Commit>,
    /// How many tokens the step before committed.
    committed: usize,
    /// The step before which it must be full, by the budget.
    deadline: usize,
}

impl Canvas {
    /// The prompt followed by masks, with memory for `gen_length` of them.
    pub(crate) fn new(
        request: &Request,
        mask_id: u32,
        eos: u32,
        max_sequence_length: usize,
    ) -> Result<Self, InferError> {
        let Request { prompt, config } = request;
        let longest = prompt.len().saturating_add(config.gen_length);
        if longest > max_sequence_length {
            let (prompt, gen_length) = (prompt.len(), config.gen_length);
            return Err(InferError::TooLong { prompt, gen_length, max_sequence_length });
        }
        let holes = prompt.iter().filter(|&&id| id == mask_id).count();
        let plan = config.validate(holes)?;
        let first = match config.length {
            LengthKind::Fixed => config.gen_length,
            LengthKind::Append => plan.block_length().min(config.gen_length),
            LengthKind::Daedal => config.initial_gen_length.min(config.gen_length),
        };
        let mut ids = Vec::with_capacity(longest);
        ids.extend_from_slice(prompt);
        ids.resize(prompt.len() + first, mask_id);
        let mut canvas = Self {
            prompt_index: ids.iter().map(|&id| id != mask_id).collect(),
            trace: Trace { prompt_length: prompt.len(), canvas: ids.clone(), steps: Vec::new() },
            decoder: config.decoder.build(config),
            cache: config.cache.build(config),
            config: config.clone(),
            plan,
            mask_id,
            eos,
            ids,
            longest,
            eos_confidence: None,
            has_grown: false,
            block: Block::default(),
            wanted: Vec::new(),
            memories: BTreeMap::new(),
            unconditional: Vec::new(),
            finished: false,
            output_length: usize::MAX,
        };
        canvas.start_block(0);
        Ok(canvas)
    }

    /// The positions of a block.
    fn nominal(&self, index: usize) -> Range<usize> {
        match self.config.gen_length {
            0 => 0..self.ids.len(),
            _ => {
                let Range { start, end } = self.plan.block(index, self.trace.prompt_length);
                start..end.min(self.ids.len())
            }
        }
    }

    fn start_block(&mut self, index: usize) {
        let nominal = self.nominal(index);
        let first = self.masked(0..nominal.end).next().unwrap_or(nominal.start);
        let range = first.min(nominal.start)..nominal.end;
        let counted = if self.config.reference_compat { nominal } else { range.clone() };
        let left = self.config.max_nfe.map_or(usize::MAX, |max_nfe| max_nfe - self.trace.steps.len());
        let deadline = left / (self.plan.blocks() - index);
        let steps = self.plan.steps_per_block();
        let steps = NonZeroUsize::new(deadline).map_or(steps, |deadline| steps.min(deadline));
        let mut schedule = self.decoder.schedule(self.masked(counted).count(), steps);
        if self.config.max_nfe.is_some() {
            // A budget is not spent on steps that commit nothing.
            schedule.truncate(schedule.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1));
        }
        self.block = Block { index, range, schedule, deadline, ..Default::default() };
    }

    fn masked(&self, positions: Range<usize>) -> impl Iterator<Item = usize> {
        positions.filter(|&position| self.ids[position] == self.mask_id)
    }

    /// How many tokens the schedule of the block commits in the current step.
    fn quota(&self) -> usize {
        self.block.schedule.get(self.block.step).copied().unwrap_or(0)
    }

    /// How many tokens the current step commits at least, if the budget is to hold. A schedule is made to fit it.
    fn due(&self) -> usize {
        let masked = self.masked(self.block.range.clone()).count();
        masked.div_ceil(self.block.deadline.saturating_sub(self.block.step).max(1))
    }

    /// The number of the current step, over all blocks.
    pub(crate) fn step(&self) -> usize {
        self.trace.steps.len()
    }

    /// Whether a step runs the sequence without its prompt too.
    pub(crate) fn guided(&self) -> bool {
        self.config.cfg_scale > 0.0
    }

    /// Whether the request keeps keys and values from step to step.
    pub(crate) fn is_cached(&self) -> bool {
        self.cache.is_some()
    }

    /// What the current step recomputes.
    pub(crate) fn recompute(&self) -> Recompute {
        let Some(cache) = &self.cache else { return Recompute::All };
        let at = Moment {
            prompt_length: self.trace.prompt_length,
            length: self.ids.len(),
            block: self.block.range.clone(),
            block_step: self.block.step,
            step: self.step(),
            refresh_interval: self.config.refresh_interval,
            shadowed: self.decoder.verifies(),
        };
        if self.has_grown || cache.is_refreshed(&at) { cache.refresh(&at) } else { cache.reuse(&at) }
    }

    /// Collects what the current step needs from the model. A step that commits nothing needs nothing.
    pub(crate) fn prepare(&mut self) {
        let mut wanted = take(&mut self.wanted);
        wanted.clear();
        if !self.decoder.is_scheduled() || self.quota() > 0 {
            wanted.extend(self.masked(self.block.range.clone()));
        }
        if self.decoder.verifies() {
            wanted.extend(self.block.decoded.iter().map(|commit| commit.position));
            wanted.sort_unstable();
        }
        self.wanted = wanted;
        self.memories.retain(|position, _| self.wanted.binary_search(position).is_ok());
        for &position in &self.wanted {
            if !self.memories.contains_key(&position)
                && let Some(memory) = self.decoder.memory()
            {
                self.memories.insert(position, memory);
            }
        }
        if self.is_judged() {
            let after = self.block.range.end..self.ids.len();
            self.wanted.extend(after.filter(|&position| self.ids[position] == self.mask_id));
        }
        if self.guided() {
            unconditional_ids(&self.ids, &self.prompt_index, self.mask_id, &mut self.unconditional);
        }
    }

    /// The wanted positions that are predicted: those of the block.
    pub(crate) fn predicted(&self) -> &[usize] {
        &self.wanted[..self.wanted.partition_point(|&position| position < self.block.range.end)]
    }

    /// Lets the decoder choose among `predictions`, writes what it chose, and moves on: to the next step, the next block,
    /// or the end.
    pub(crate) fn commit(&mut self, predictions: &[Prediction]) {
        let is_draft = |prediction: &Prediction| self.ids[prediction.position] == self.mask_id;
        let (predictions, verified): (Vec<_>, Vec<_>) = predictions.iter().copied().partition(is_draft);
        for (commit, verified) in self.block.decoded.iter_mut().zip(&verified) {
            commit.confidence = verified.confidence;
        }
        let step = Step {
            number: self.step(),
            index: self.block.step,
            steps: self.block.schedule.len(),
            quota: self.quota(),
            committed: self.block.committed,
            seed: self.config.seed,
        };
        let mut chosen = Vec::new();
        if !predictions.is_empty() {
            self.decoder.choose(step, &predictions, &mut chosen);
        }
        if !self.decoder.is_scheduled() && chosen.len() < self.due() {
            surest(&predictions, self.due(), &mut chosen);
        }
        let expanded = self.expanded(&predictions, &chosen);
        let mut revoked = Vec::new();
        // The last step that the budget allows fills the block.
        if self.block.step + 1 < self.block.deadline {
            self.decoder.revoke(step, chosen.len(), &self.block.decoded, &mut revoked);
        }
        let commit = |index: usize| {
            let Prediction { position, token, confidence, .. } = predictions[index];
            Commit { position, token, confidence }
        };
        let commits: Vec<Commit> = chosen.into_iter().map(commit).collect();
        for &position in &revoked {
            self.ids[position] = self.mask_id;
        }
        for commit in &commits {
            self.ids[commit.position] = commit.token;
        }
        if self.decoder.is_revocable() {
            let decoded = &mut self.block.decoded;
            decoded.retain(|commit| revoked.binary_search(&commit.position).is_err());
            decoded.extend(&commits);
            decoded.sort_unstable_by_key(|commit| commit.position);
        }
        self.block.committed = commits.len();
        self.trace.steps.push(TraceStep { step: step.number, block: self.block.index, nfe: 1, commits, revoked });
        self.block.step += 1;
        self.has_grown = false;
        if let Some(position) = expanded {
            self.expand(position);
        }
        if self.block_ended() {
            self.block.decoded.clear();
            self.append();
            self.finished = self.block.range.end == self.ids.len();
            if !self.finished {
                self.start_block(self.block.index + 1);
            }
        }
    }

    fn block_ended(&self) -> bool {
        if self.decoder.is_scheduled() {
            return self.block.step >= self.block.schedule.len();
        }
        let second_forward = self.config.reference_compat && self.cache.is_some() && self.block.step == 1;
        !second_forward && self.masked(self.block.range.clone()).next().is_none()
    }

    /// Ends at the first end-of-text of the answer that has no mask before it, and will have none, if there is one.
    pub(crate) fn stop(&mut self) {
        let masked = self.ids.iter().position(|&id| id == self.mask_id).unwrap_or(self.ids.len());
        let settled = self.block.decoded.first().map_or(masked, |commit| masked.min(commit.position));
        let answer = self.trace.prompt_length..settled.max(self.trace.prompt_length);
        if let Some(end) = self.ids[answer].iter().position(|&id| id == self.eos) {
            self.output_length = end + 1;
            self.finished = true;
        }
    }

    /// The prompt with its masks filled, the answer, and how it came about.
    pub(crate) fn into_parts(mut self) -> (Vec<u32>, Vec<u32>, Trace) {
        let mut output = self.ids.split_off(self.trace.prompt_length);
        output.truncate(self.output_length);
        (self.ids, output, self.trace)
    }
}
