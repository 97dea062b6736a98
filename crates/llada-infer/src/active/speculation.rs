//! Self-speculative decoding (SSD, arXiv 2510.04147): one forward computes the present state of the sequence and those that
//! it is likely to be in after the next steps.
//!
//! The predictions of a step are drafts for the next ones: state j is the present state with the tokens that the decoder
//! would commit in j steps if the predictions stayed as they are. After each step the real state is looked for among the
//! drafted ones. If it is there, its predictions are those of a forward of its own, and the next step is taken with them.
//! So drafts decide what is computed, and never what is committed.

use llada_core::{confidence::Remasking, predictor::Recompute};

use super::ActiveRequest;
use crate::decoder::Prediction;

/// The product of confidences below which a state is not worth computing. With llada-tiny and a block of 32 tokens a state
/// costs half of a forward, and of the drafts below this hardly any came true.
const LEAST_CONFIDENCE: f32 = 0.5;

/// A state that the sequence may be in after some of the next steps, for the next forward to compute.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) ids: Vec<u32>,
    /// The ids with the prompt masked, under guidance.
    pub(super) unconditional: Vec<u32>,
    pub(super) wanted: Vec<usize>,
    recompute: Recompute,
}

/// The drafts of a request.
#[derive(Debug, Default)]
pub(super) struct Speculation {
    pub(super) drafts: Vec<Draft>,
    /// The number of the state that the present step is taken with: 0, or one more than the index of its draft.
    pub(super) state: usize,
    /// The last predictions of positions that are still masked.
    predictions: Vec<Prediction>,
}

impl ActiveRequest {
    /// Returns the number of the state, among those of the last forward, that the next step is taken with.
    pub(crate) fn state(&self) -> usize {
        self.speculation.state
    }

    /// Records what the forward has computed in the first step that is taken with it; later ones take none.
    pub(super) fn record_forward(&mut self) {
        let Speculation { drafts, state, .. } = &self.speculation;
        if let Some(step) = self.sequence.trace.steps.last_mut() {
            (step.nfe, step.drafted) = if *state == 0 { (1, drafts.len()) } else { (0, 0) };
        }
    }

    /// Keeps what the next steps may commit. After a growth the positions are no longer those of the sequence.
    pub(super) fn keep_predictions(&mut self, predictions: &[Prediction], has_grown: bool) {
        let Self { speculation, sequence, config, .. } = self;
        speculation.predictions.clear();
        if config.draft_length.is_some() && !has_grown {
            let is_masked = |prediction: &&Prediction| sequence.ids[prediction.position] == sequence.mask_id;
            speculation.predictions.extend(predictions.iter().filter(is_masked));
        }
    }

    /// Returns true if the last forward has computed the present state, so that the next step needs none. Otherwise the
    /// states of the next forward are drafted.
    pub(crate) fn is_computed(&mut self) -> bool {
        let speculation = &self.speculation;
        let is_present = |draft: &Draft| {
            draft.ids == self.sequence.ids && draft.wanted == self.wanted && draft.recompute == self.recompute
        };
        let is_computed = speculation.drafts.get(speculation.state).is_some_and(is_present);
        if is_computed {
            self.speculation.state += 1;
        } else {
            self.draft();
        }
        is_computed
    }

    /// Drops the drafts, for a forward over the present state alone.
    pub(super) fn drop_drafts(&mut self) {
        self.speculation.drafts.clear();
        self.speculation.state = 0;
    }

    /// Drafts the states of the next forward.
    fn draft(&mut self) {
        self.drop_drafts();
        // What is measured is the present state's.
        let Some(draft_length) = self.config.draft_length.filter(|_| self.drift_limit.is_none()) else { return };
        let mut at = self.context();
        let (mut ids, mut wanted) = (self.sequence.ids.clone(), self.wanted.clone());
        let mut predictions = std::mem::take(&mut self.speculation.predictions);
        predictions.retain(|prediction| wanted.binary_search(&prediction.position).is_ok());
        let mut confidence = 1.0;
        while self.speculation.drafts.len() < draft_length && !predictions.is_empty() {
            if self.config.remasking == Remasking::Random {
                // The order is drawn anew in each step, and known beforehand.
                predictions.iter_mut().for_each(|prediction| prediction.confidence = at.order(prediction.position));
            }
            let chosen = self.choose(&at, &predictions);
            for &index in &chosen {
                let Prediction { position, token, .. } = predictions[index];
                ids[position] = token;
                if self.config.remasking == Remasking::LowConfidence {
                    // The other measures are no probabilities.
                    confidence *= predictions[index].confidence;
                }
            }
            predictions.retain(|prediction| ids[prediction.position] == self.sequence.mask_id);
            wanted.retain(|&position| ids[position] == self.sequence.mask_id);
            at.step += 1;
            at.block_step += 1;
            at.previous_commits = chosen.len();
            at.scheduled_commits = self.progression.block.schedule.get(at.block_step).copied().unwrap_or(0);
            // The states share the slot, so they compute the same positions. The next block has no predictions yet.
            let is_refreshed = self.cache.as_ref().is_some_and(|cache| cache.is_refreshed(&at));
            let recompute = self.recompute_at(&at, is_refreshed);
            let goes_on = !self.decoder.is_scheduled() || at.scheduled_commits > 0;
            let is_likely = !chosen.is_empty() && confidence >= LEAST_CONFIDENCE;
            if !is_likely || predictions.is_empty() || !goes_on || recompute != self.recompute {
                break;
            }
            self.speculation.drafts.push(Draft {
                ids: ids.clone(),
                unconditional: if self.is_guided() { self.sequence.without_prompt(&ids) } else { Vec::new() },
                wanted: wanted.clone(),
                recompute,
            });
        }
    }
}
