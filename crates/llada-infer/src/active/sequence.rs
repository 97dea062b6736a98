//! The ids of a request and everything that refers to their positions.

use std::{iter::repeat_n, ops::Range};

use llada_core::{
    guidance::unconditional_ids,
    trace::{Commit, Trace, TraceStep},
};

use crate::step::Growth;

/// The prompt and the answer of a request, and the record of its steps.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) ids: Vec<u32>,
    pub(crate) trace: Trace,
    pub(crate) mask_id: u32,
    /// The largest number of ids.
    pub(crate) max_len: usize,
    /// True for the positions that were given, not masked, at the start.
    prompt_index: Vec<bool>,
    /// The ids with the prompt masked, for guidance.
    pub(crate) unconditional: Vec<u32>,
}

impl Sequence {
    /// Creates a sequence of `prompt` and `answer_length` masks, with capacity for `max_len` ids.
    pub(crate) fn new(prompt: &[u32], answer_length: usize, max_len: usize, mask_id: u32) -> Self {
        let mut ids = Vec::with_capacity(max_len);
        ids.extend_from_slice(prompt);
        ids.resize(prompt.len() + answer_length, mask_id);
        Self {
            prompt_index: ids.iter().map(|&id| id != mask_id).collect(),
            trace: Trace { prompt_length: prompt.len(), canvas: ids.clone(), steps: Vec::new() },
            ids,
            mask_id,
            max_len,
            unconditional: Vec::new(),
        }
    }

    /// Returns the masked positions in a range.
    pub(crate) fn masked(&self, positions: Range<usize>) -> impl Iterator<Item = usize> {
        positions.filter(|&position| self.ids[position] == self.mask_id)
    }

    /// Returns the length of the prefix that no later step can change. Tokens from position `revocable` on may be revoked.
    pub(crate) fn settled(&self, revocable: Option<usize>) -> usize {
        let first_mask = self.masked(0..self.ids.len()).next().unwrap_or(self.ids.len());
        first_mask.min(revocable.unwrap_or(first_mask))
    }

    /// Updates [`unconditional`](Self::unconditional).
    pub(crate) fn update_unconditional(&mut self) {
        unconditional_ids(&self.ids, &self.prompt_index, self.mask_id, &mut self.unconditional);
    }

    /// Returns other ids of the sequence with the prompt masked.
    pub(crate) fn without_prompt(&self, ids: &[u32]) -> Vec<u32> {
        let mut unconditional = Vec::new();
        unconditional_ids(ids, &self.prompt_index, self.mask_id, &mut unconditional);
        unconditional
    }

    /// Applies the commits and revocations of a step and records the step.
    pub(crate) fn record(&mut self, block: usize, commits: Vec<Commit>, revoked: Vec<usize>) {
        for &position in &revoked {
            self.ids[position] = self.mask_id;
        }
        for commit in &commits {
            self.ids[commit.position] = commit.token;
        }
        let step = self.trace.steps.len();
        self.trace.steps.push(TraceStep { step, block, nfe: 1, commits, revoked, ..Default::default() });
    }

    /// Inserts the masks of `growth`, but no more than `max_len` allows, and returns the growth that took place. The trace
    /// has positions of the final text, so the recorded positions are shifted.
    pub(crate) fn grow(&mut self, growth: Growth) -> Growth {
        let growth = Growth { count: growth.count.min(self.max_len - self.ids.len()), ..growth };
        let Growth { at, count } = growth;
        self.ids.splice(at..at, repeat_n(self.mask_id, count));
        self.trace.canvas.splice(at..at, repeat_n(self.mask_id, count));
        self.prompt_index.splice(at..at, repeat_n(false, count));
        for TraceStep { commits, revoked, forced, .. } in &mut self.trace.steps {
            for commit in commits {
                commit.position = growth.moved(commit.position);
            }
            for position in revoked.iter_mut().chain(forced) {
                *position = growth.moved(*position);
            }
        }
        growth
    }
}
