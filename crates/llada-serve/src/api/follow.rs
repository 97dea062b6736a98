//! A canvas that follows the steps of a generation.

use std::{iter::repeat_n, ops::Range};

use llada::{Generation, Growth, TokenLogprobs, TraceStep};
use serde_json::{Value, json};

use super::{error::ApiError, frame::Frame, logprobs};
use crate::{engine::Finish, service::Shared, settled::Settled};

/// The part of a canvas that is the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// What was appended to a prompt of this length.
    After(usize),
    /// A gap in the prompt.
    Gap(Range<usize>),
    /// All of the prompt, whose masks are filled.
    Whole,
}

impl Place {
    pub(super) fn is_gap(&self) -> bool {
        !matches!(self, Self::After(_))
    }

    /// Returns the answer's range in a canvas of this length.
    fn range(&self, length: usize) -> Range<usize> {
        match self {
            Self::After(prompt) => *prompt..length.max(*prompt),
            Self::Gap(gap) => gap.clone(),
            Self::Whole => 0..length,
        }
    }

    /// Returns the first position of the answer.
    pub(super) fn start(&self) -> usize {
        self.range(0).start
    }

    /// Returns the ids of a complete answer.
    pub(super) fn of_generation<'a>(&self, generation: &'a Generation) -> &'a [u32] {
        match self {
            Self::After(_) => &generation.output,
            Self::Gap(gap) => &generation.prompt[gap.clone()],
            Self::Whole => &generation.prompt,
        }
    }

    /// Returns the number of positions that were masks.
    pub(super) fn length(&self, generation: &Generation) -> usize {
        match self {
            Self::After(prompt) => generation.trace.canvas.len() - prompt,
            Self::Gap(gap) => gap.len(),
            Self::Whole => generation.committed(),
        }
    }
}

/// A canvas, and the part of its text that has been handed out.
#[derive(Debug)]
pub(super) struct Follower {
    service: Shared,
    place: Place,
    settled: Settled,
    canvas: Vec<u32>,
}

impl Follower {
    pub(super) fn new(frame: &Frame) -> Self {
        let (service, place, settled) = (frame.service.clone(), frame.told.answer.clone(), frame.settled());
        Self { service, place, settled, canvas: Vec::new() }
    }

    pub(super) fn start(&mut self, canvas: &[u32]) {
        self.canvas = canvas.to_vec();
    }

    /// Applies a step, and returns the text that it made certain.
    pub(super) fn step(
        &mut self,
        step: &TraceStep,
        growth: Option<Growth>,
        settled: usize,
    ) -> Result<String, ApiError> {
        apply(&mut self.canvas, step, growth, self.service.mask_id);
        let Range { start, end } = self.place.range(self.canvas.len());
        let end = settled.clamp(start, end);
        Ok(self.settled.advance(&self.canvas[start..end])?)
    }

    /// Returns the rest of the text of a complete answer.
    pub(super) fn finish(&mut self, finish: &Finish) -> Result<String, ApiError> {
        Ok(self.settled.finish(self.place.of_generation(&finish.generation))?)
    }

    /// Returns the text so far, with its masks.
    pub(super) fn masked_text(&self) -> Result<String, ApiError> {
        Ok(self.settled.masked(self.answer())?)
    }

    /// Returns the part of the answer that is no mask, from 0 to 1.
    pub(super) fn progress(&self) -> f64 {
        1.0 - self.masked() as f64 / self.answer().len().max(1) as f64
    }

    fn answer(&self) -> &[u32] {
        &self.canvas[self.place.range(self.canvas.len())]
    }

    fn masked(&self) -> usize {
        self.canvas.iter().filter(|&&id| id == self.service.mask_id).count()
    }

    /// Returns a step after it was applied. Commits are a position, an id, its piece if they are asked for, and the
    /// confidence, which forced ones do not have. If log-probabilities are asked for, alternatives are a position with the
    /// most probable ids there, their pieces, and their probabilities.
    pub(super) fn described(&self, step: &TraceStep, settled: usize, has_pieces: bool) -> Value {
        let (mut commits, mut forced) = (Vec::new(), Vec::new());
        for commit in &step.commits {
            let mut values = vec![json!(commit.position), json!(commit.token)];
            if has_pieces {
                values.push(self.service.tokenizer.piece(commit.token).into());
            }
            if step.forced.binary_search(&commit.position).is_ok() {
                forced.push(values);
            } else {
                values.push(json!(commit.confidence));
                commits.push(values);
            }
        }
        let mut described = json!({
            "step": step.step, "block": step.block, "nfe": step.nfe, "commits": commits, "forced": forced,
            "revoked": step.revoked, "masked": self.masked(), "settled": settled,
        });
        if !step.logprobs.is_empty() {
            let mut alternatives = Vec::new();
            for (position, TokenLogprobs { top, .. }) in logprobs::of_step(step) {
                let mut ids = Vec::new();
                for &(id, logprob) in top {
                    let mut values = vec![json!(id)];
                    if has_pieces {
                        values.push(self.service.tokenizer.piece(id).into());
                    }
                    values.push(json!(logprob.exp()));
                    ids.push(values);
                }
                alternatives.push(json!([position, ids]));
            }
            described["alternatives"] = alternatives.into();
        }
        if let Some(log_mass) = step.log_mass {
            described["log_mass"] = log_mass.into();
        }
        described
    }
}

/// Applies a step to a canvas: first its growth, then what was revoked, then what was committed.
fn apply(canvas: &mut Vec<u32>, step: &TraceStep, growth: Option<Growth>, mask_id: u32) {
    if let Some(growth) = growth {
        let at = growth.at.min(canvas.len());
        canvas.splice(at..at, repeat_n(mask_id, growth.count));
    }
    for &position in &step.revoked {
        if let Some(id) = canvas.get_mut(position) {
            *id = mask_id;
        }
    }
    for commit in &step.commits {
        if let Some(id) = canvas.get_mut(commit.position) {
            *id = commit.token;
        }
    }
}
