//! How a canvas becomes longer: at its end or in the block that is being decoded, and with it all that goes by positions.

use std::{iter::repeat_n, mem::take};

use llada_core::trace::TraceStep;

use super::Canvas;
use crate::{
    decoder::Prediction,
    length::{EXPANSION_FACTOR, LengthKind, expands, is_too_short},
};

impl Canvas {
    /// Whether the current step asks how sure the model is that the answer ends: an answer that may grow, and a forward
    /// over all of it.
    pub(crate) fn is_judged(&self) -> bool {
        let may_grow = self.config.length == LengthKind::Daedal && self.ids.len() < self.longest;
        may_grow && self.recompute().is_whole(self.ids.len())
    }

    /// Appends masks instead of a step, if the answer is too short to begin with.
    pub(crate) fn lengthen(&mut self) -> bool {
        let has_begun = self.block.index > 0 || self.block.step > 0;
        if has_begun || !self.eos_confidence.is_some_and(is_too_short) {
            return false;
        }
        let (step, block) = (self.step(), self.block.index);
        self.trace.steps.push(TraceStep { step, block, nfe: 1, commits: Vec::new(), revoked: Vec::new() });
        self.grow(self.ids.len(), EXPANSION_FACTOR);
        true
    }

    /// Puts `count` masks before position `at`, fewer where more would be too long. The trace goes by the positions of
    /// the final text.
    fn grow(&mut self, at: usize, count: usize) {
        let count = count.min(self.longest - self.ids.len());
        let masks = repeat_n(self.mask_id, count);
        self.ids.splice(at..at, masks.clone());
        self.trace.canvas.splice(at..at, masks);
        self.prompt_index.splice(at..at, repeat_n(false, count));
        let moved = |position: usize| if position < at { position } else { position + count };
        for TraceStep { commits, revoked, .. } in &mut self.trace.steps {
            commits.iter_mut().for_each(|commit| commit.position = moved(commit.position));
            revoked.iter_mut().for_each(|position| *position = moved(*position));
        }
        let memories = take(&mut self.memories).into_iter();
        self.memories = memories.map(|(position, memory)| (moved(position), memory)).collect();
        self.block.range.end = self.nominal(self.block.index).end;
        self.has_grown = true;
    }

    /// The position of the mask that becomes more, once the step has committed those `chosen`.
    pub(super) fn expanded(&self, predictions: &[Prediction], chosen: &[usize]) -> Option<usize> {
        expands(self.eos_confidence?, predictions, chosen).map(|index| predictions[index].position)
    }

    /// Makes several masks of one.
    pub(super) fn expand(&mut self, position: usize) {
        self.grow(position + 1, EXPANSION_FACTOR - 1);
    }

    /// Appends a block, if the one that is full has no end in it.
    pub(super) fn append(&mut self) {
        let has_ended = || self.ids[self.nominal(self.block.index)].contains(&self.eos);
        if self.config.length == LengthKind::Append && !has_ended() {
            self.grow(self.ids.len(), self.plan.block_length());
        }
    }
}
