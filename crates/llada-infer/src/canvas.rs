//! One request on its way from masks to tokens: the sequence, the block it works on, and the block's schedule.

use llada_core::{
    block::BlockPlan,
    guidance::unconditional_ids,
    trace::{Commit, Trace, TraceStep},
    transfer::num_transfer_tokens,
};

use crate::{InferError, Request, SamplerConfig};

/// The state of one request.
#[derive(Debug)]
pub(crate) struct Canvas {
    pub(crate) config: SamplerConfig,
    plan: BlockPlan,
    mask_id: u32,
    pub(crate) ids: Vec<u32>,
    /// Whether a position was given, not masked, at the start.
    prompt_index: Vec<bool>,
    /// Tokens that the current block's steps commit.
    schedule: Vec<usize>,
    block: usize,
    step_in_block: usize,
    /// The masked positions that the current step may commit; none if it commits nothing.
    pub(crate) wanted: Vec<usize>,
    /// The sequence without its prompt, for guidance.
    pub(crate) unconditional: Vec<u32>,
    pub(crate) trace: Trace,
    pub(crate) finished: bool,
    /// Tokens of the answer to hand out.
    output_length: usize,
}

impl Canvas {
    /// The prompt followed by `gen_length` masks.
    pub(crate) fn new(request: &Request, mask_id: u32, max_sequence_length: usize) -> Result<Self, InferError> {
        let Request { prompt, config } = request;
        let holes = prompt.iter().filter(|&&id| id == mask_id).count();
        let plan = config.validate(holes)?;
        let length = prompt.len().saturating_add(config.gen_length);
        if length > max_sequence_length {
            let (prompt, gen_length) = (prompt.len(), config.gen_length);
            return Err(InferError::TooLong { prompt, gen_length, max_sequence_length });
        }
        let mut ids = prompt.clone();
        ids.resize(length, mask_id);
        let mut canvas = Self {
            prompt_index: ids.iter().map(|&id| id != mask_id).collect(),
            trace: Trace { prompt_length: prompt.len(), canvas: ids.clone(), steps: Vec::new() },
            config: config.clone(),
            plan,
            mask_id,
            ids,
            schedule: Vec::new(),
            block: 0,
            step_in_block: 0,
            wanted: Vec::new(),
            unconditional: Vec::new(),
            finished: false,
            output_length: config.gen_length,
        };
        canvas.start_block();
        Ok(canvas)
    }

    fn prompt_length(&self) -> usize {
        self.trace.prompt_length
    }

    /// The positions that the current block may commit end here.
    fn block_end(&self) -> usize {
        match self.config.gen_length {
            0 => self.ids.len(),
            _ => self.plan.block(self.block, self.prompt_length()).end,
        }
    }

    fn start_block(&mut self) {
        let counted_from = match self.config.reference_compat {
            true => self.block_end() - self.plan.block_length(),
            false => 0,
        };
        let masked = self.masked(counted_from..self.block_end()).count();
        self.schedule = num_transfer_tokens(masked, self.plan.steps_per_block());
        self.step_in_block = 0;
    }

    fn masked(&self, positions: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
        positions.filter(|&position| self.ids[position] == self.mask_id)
    }

    /// How many tokens the current step commits.
    pub(crate) fn quota(&self) -> usize {
        self.schedule[self.step_in_block]
    }

    /// The number of the current step, over all blocks.
    pub(crate) fn step(&self) -> usize {
        self.block * self.plan.steps_per_block().get() + self.step_in_block
    }

    /// Whether a step runs the sequence without its prompt too.
    pub(crate) fn guided(&self) -> bool {
        self.config.cfg_scale > 0.0
    }

    /// Collects what the current step needs from the model. A step that commits nothing needs nothing.
    pub(crate) fn prepare(&mut self) {
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.clear();
        if self.quota() > 0 {
            wanted.extend(self.masked(0..self.block_end()));
        }
        self.wanted = wanted;
        if self.guided() {
            unconditional_ids(&self.ids, &self.prompt_index, self.mask_id, &mut self.unconditional);
        }
    }

    /// Writes the step's tokens and moves on: to the next step, the next block, or the end.
    pub(crate) fn commit(&mut self, commits: Vec<Commit>) {
        for commit in &commits {
            self.ids[commit.position] = commit.token;
        }
        self.trace.steps.push(TraceStep { step: self.step(), block: self.block, nfe: 1, commits });
        self.step_in_block += 1;
        if self.step_in_block == self.schedule.len() {
            self.block += 1;
            self.finished = self.block == self.plan.blocks();
            if !self.finished {
                self.start_block();
            }
        }
    }

    /// Ends at the first `eos` of the answer that has no mask before it, if there is one.
    pub(crate) fn stop_at(&mut self, eos: u32) {
        let settled = self.ids.iter().position(|&id| id == self.mask_id).unwrap_or(self.ids.len());
        let answer = self.prompt_length()..settled.max(self.prompt_length());
        if let Some(end) = self.ids[answer].iter().position(|&id| id == eos) {
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
