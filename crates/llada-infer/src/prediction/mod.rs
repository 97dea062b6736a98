//! The stages from logits to predictions: the logits are processed, a token is picked, and its confidence is measured. The
//! decoder then chooses among the predictions.

mod constrained;
mod pick;

use std::collections::BTreeMap;

use llada_core::{
    confidence::Remasking,
    predictor::Hidden,
    rng::{Domain, Noise, Stream},
    sampling::softmax_at,
};
use rayon::prelude::*;

use crate::{
    InferError, SamplerConfig, StepContext,
    constraint::{Reduced, Region},
    decoder::{Convention, Decoder, PositionState, Prediction},
    end_think::Boost,
    logits::{LogitsReader, chunks},
    truncation::Truncation,
    vocabulary::Vocabulary,
};
pub(crate) use pick::without;

/// The number of logits from which on several threads are faster than one.
const WORTH_SHARING: usize = 1 << 16;

/// The stages of one step of a request.
#[derive(Clone, Copy)]
pub(crate) struct Stages<'a> {
    config: &'a SamplerConfig,
    vocabulary: &'a Vocabulary,
    at: &'a StepContext,
    needs_entropy: bool,
    convention: Convention,
    truncation: Option<Truncation>,
    /// True if visible positions are predicted like masks, because their tokens may be replaced.
    is_editing: bool,
    boost: Option<Boost>,
    regions: &'a [Region],
}

/// A position on its way through the stages.
struct Pending<'a> {
    /// The guided logits of the position.
    logits: &'a mut [f32],
    prediction: &'a mut Prediction,
    state: Option<&'a mut Box<dyn PositionState>>,
    /// What a constraint needs of the logits, if the position is a constrained mask.
    reduced: &'a mut Option<Reduced>,
}

impl<'a> Stages<'a> {
    pub(crate) fn new(
        config: &'a SamplerConfig,
        decoder: &dyn Decoder,
        vocabulary: &'a Vocabulary,
        at: &'a StepContext,
    ) -> Self {
        let convention = decoder.convention();
        Self {
            config,
            vocabulary,
            at,
            needs_entropy: decoder.needs_entropy(),
            convention,
            truncation: Truncation::new(config, convention),
            is_editing: decoder.editing().is_some(),
            boost: None,
            regions: &[],
        }
    }

    /// Adds the constrained parts of the sequence.
    pub(crate) fn with_regions(self, regions: &'a [Region]) -> Self {
        Self { regions, ..self }
    }

    /// Adds a boost of one logit.
    pub(crate) fn with_boost(self, boost: Option<Boost>) -> Self {
        Self { boost, ..self }
    }

    /// Writes the predictions of the `wanted` positions of `ids` into `predictions`. They must be the first wanted
    /// positions of the reader's row. `states` has the decoder's state of each masked position, or is empty. Returns the
    /// log-mass of what the constraints allow, if there are any.
    ///
    /// # Errors
    /// If the predictor fails or its logits are not finite.
    pub(crate) fn predict<H: Hidden>(
        &self,
        reader: &mut LogitsReader<'_, H>,
        ids: &[u32],
        wanted: &[usize],
        states: &mut BTreeMap<usize, Box<dyn PositionState>>,
        predictions: &mut Vec<Prediction>,
    ) -> Result<Option<f64>, InferError> {
        predictions.clear();
        predictions.extend(wanted.iter().map(|&position| Prediction { position, ..Default::default() }));
        if wanted.is_empty() {
            // The forward had no row to read.
            return Ok(None);
        }
        let has_visible = wanted.iter().any(|&position| ids[position] != self.vocabulary.mask_id);
        if self.is_plain_argmax(!states.is_empty(), has_visible)
            && let Some(top_tokens) = reader.top_tokens(0..wanted.len())?
        {
            for (prediction, top) in predictions.iter_mut().zip(top_tokens) {
                (prediction.token, prediction.confidence) = (top.token, top.probability);
            }
            check_finite(predictions)?;
            return Ok(None);
        }
        let mut reduced: Vec<Option<Reduced>> = wanted.iter().map(|_| None).collect();
        // States and wanted positions are both in ascending order, so they are matched in one pass.
        let mut states = states.iter_mut().peekable();
        for range in chunks(wanted.len()) {
            let logits = reader.read(range.clone())?;
            let is_shared = logits.len() >= WORTH_SHARING;
            let mut pending = Vec::with_capacity(range.len());
            let outcomes = predictions[range.clone()].iter_mut().zip(&mut reduced[range]);
            for (logits, (prediction, reduced)) in logits.chunks_mut(self.vocabulary.padded_size).zip(outcomes) {
                let state = states.next_if(|(position, _)| **position == prediction.position).map(|(_, state)| state);
                pending.push(Pending { logits, prediction, state, reduced });
            }
            if is_shared {
                pending.into_par_iter().for_each(|position| self.run(position, ids));
            } else {
                pending.into_iter().for_each(|position| self.run(position, ids));
            }
        }
        let log_mass = self.constrain(predictions, &reduced);
        check_finite(predictions)?;
        Ok(log_mass)
    }

    /// Returns true if the stages yield the most probable token and its probability for any logits. The model can then
    /// compute them itself, where that is faster.
    fn is_plain_argmax(&self, has_states: bool, has_visible: bool) -> bool {
        let config = self.config;
        let is_changed = self.boost.is_some() || self.truncation.is_some() || !self.regions.is_empty();
        let is_processed = config.logits_eos_inf || config.cfg_scale > 0.0 || has_states || is_changed;
        let is_drawn = config.temperature > 0.0;
        let is_probability = config.remasking == Remasking::LowConfidence && !config.confidence_eos_eot_inf;
        let is_all = !self.needs_entropy && (self.is_editing || !has_visible);
        !is_processed && !is_drawn && is_probability && is_all
    }

    /// Runs the stages that apply to the position: a masked one is predicted, a visible one is verified.
    fn run(&self, position: Pending<'_>, ids: &[u32]) {
        let Pending { logits, prediction, state, reduced } = position;
        let token = ids[prediction.position];
        self.ban_eos(logits);
        if let Some(boost) = self.boost.filter(|boost| boost.position == prediction.position)
            && let Some(logit) = logits.get_mut(boost.token as usize)
        {
            *logit += boost.amount;
        }
        if token == self.vocabulary.mask_id || self.is_editing {
            if let Some(state) = state {
                state.process(self.at, logits, prediction);
            }
            let is_mask = token == self.vocabulary.mask_id;
            match self.regions.iter().find(|region| is_mask && region.range().contains(&prediction.position)) {
                Some(region) => *reduced = Some(self.reduce(region, logits, prediction.position)),
                None => self.pick(logits, prediction),
            }
        } else {
            // The logits of a visible position are those of its shadow.
            (prediction.token, prediction.confidence) = (token, softmax_at(logits, token));
        }
    }

    fn noise(&self, domain: Domain, position: usize) -> Stream {
        Noise::new(self.config.seed).domain(domain).stream(0, self.at.step as u32, position as u32)
    }

    fn ban_eos(&self, logits: &mut [f32]) {
        if self.config.logits_eos_inf {
            logits[self.vocabulary.special.eos as usize] = f32::NEG_INFINITY;
        }
    }
}

fn check_finite(predictions: &[Prediction]) -> Result<(), InferError> {
    match predictions.iter().find(|prediction| prediction.confidence.is_nan()) {
        Some(&Prediction { position, .. }) => Err(InferError::NotFinite { position }),
        None => Ok(()),
    }
}
