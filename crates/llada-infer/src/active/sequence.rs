//! The ids of a request, and all that goes by their positions: what was given, what was committed when.

use std::{iter::repeat_n, ops::Range};

use llada_core::{
    guidance::unconditional_ids,
    trace::{Commit, Trace, TraceStep},
};

use crate::step::Growth;

/// Prompt and answer on their way from masks to tokens.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) ids: Vec<u32>,
    pub(crate) trace: Trace,
    pub(crate) mask_id: u32,
    /// The number of ids that there may be.
    pub(crate) max_len: usize,
    /// Whether a position was given, not masked, at the start.
    prompt_index: Vec<bool>,
    /// The ids without the prompt, for guidance.
    pub(crate) unconditional: Vec<u32>,
}

impl Sequence {
    /// `prompt` followed by `answer_length` masks, with memory for `max_len` ids.
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

    /// The masked positions among `positions`.
    pub(crate) fn masked(&self, positions: Range<usize>) -> impl Iterator<Item = usize> {
        positions.filter(|&position| self.ids[position] == self.mask_id)
    }

    /// The length of the prefix that no later step changes, where tokens from `revocable` on may be taken back.
    pub(crate) fn settled(&self, revocable: Option<usize>) -> usize {
        let first_mask = self.masked(0..self.ids.len()).next().unwrap_or(self.ids.len());
        first_mask.min(revocable.unwrap_or(first_mask))
    }

    /// Brings [`unconditional`](Self::unconditional) up to date.
    pub(crate) fn remove_prompt(&mut self) {
        unconditional_ids(&self.ids, &self.prompt_index, self.mask_id, &mut self.unconditional);
    }

    /// Writes what a step does and records it.
    pub(crate) fn record(&mut self, block: usize, commits: Vec<Commit>, revoked: Vec<usize>) {
        for &position in &revoked {
            self.ids[position] = self.mask_id;
        }
        for commit in &commits {
            self.ids[commit.position] = commit.token;
        }
        let step = self.trace.steps.len();
        self.trace.steps.push(TraceStep { step, block, nfe: 1, commits, revoked });
    }

    /// Puts in the masks of `growth`, fewer where more would be too long, and returns what it put in. The trace goes by
    /// the positions of the final text, so what it has recorded moves.
    pub(crate) fn grow(&mut self, growth: Growth) -> Growth {
        let growth = Growth { count: growth.count.min(self.max_len - self.ids.len()), ..growth };
        let Growth { at, count } = growth;
        self.ids.splice(at..at, repeat_n(self.mask_id, count));
        self.trace.canvas.splice(at..at, repeat_n(self.mask_id, count));
        self.prompt_index.splice(at..at, repeat_n(false, count));
        for TraceStep { commits, revoked, .. } in &mut self.trace.steps {
            for commit in commits {
                commit.position = growth.moved(commit.position);
            }
            for position in revoked {
                *position = growth.moved(*position);
            }
        }
        growth
    }
}
