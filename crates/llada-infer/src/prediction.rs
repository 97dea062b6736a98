//! The stages from logits to predictions: the logits are processed, a token is picked, and its confidence is measured. The
//! decoder then chooses among the predictions.

use std::collections::BTreeMap;

use llada_core::{
    confidence::Remasking,
    predictor::Hidden,
    rng::{Domain, Noise, Stream},
    sampling::{gumbel_max, softmax_at},
};
use rayon::prelude::*;

use crate::{
    InferError, SamplerConfig, StepContext,
    decoder::{Convention, Decoder, PositionState, Prediction},
    end_think::Boost,
    logits::{LogitsReader, chunks},
    truncation::Truncation,
    vocabulary::Vocabulary,
};

/// The number of logits from which on several threads are faster than one.
const WORTH_SHARING: usize = 1 << 16;

/// The stages of one step of a request.
#[derive(Clone, Copy)]
pub(crate) struct Stages<'a> {
    config: &'a SamplerConfig,
    vocabulary: &'a Vocabulary,
    step: u32,
    needs_entropy: bool,
    convention: Convention,
    truncation: Option<Truncation>,
    /// True if visible positions are predicted like masks, because their tokens may be replaced.
    is_editing: bool,
    boost: Option<Boost>,
}

/// A position on its way through the stages.
struct Pending<'a> {
    /// The guided logits of the position.
    logits: &'a mut [f32],
    prediction: &'a mut Prediction,
    state: Option<&'a mut Box<dyn PositionState>>,
}

impl<'a> Stages<'a> {
    pub(crate) fn new(
        config: &'a SamplerConfig,
        decoder: &dyn Decoder,
        vocabulary: &'a Vocabulary,
        at: &StepContext,
    ) -> Self {
        let convention = decoder.convention();
        Self {
            config,
            vocabulary,
            step: at.step as u32,
            needs_entropy: decoder.needs_entropy(),
            convention,
            truncation: Truncation::new(config, convention),
            is_editing: decoder.editing().is_some(),
            boost: None,
        }
    }

    /// Adds a boost of one logit.
    pub(crate) fn with_boost(self, boost: Option<Boost>) -> Self {
        Self { boost, ..self }
    }

    /// Writes the predictions of the `wanted` positions of `ids` into `predictions`. They must be the first wanted
    /// positions of the reader's row. `states` has the decoder's state of each masked position, or is empty.
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
    ) -> Result<(), InferError> {
        predictions.clear();
        predictions.extend(wanted.iter().map(|&position| Prediction { position, ..Default::default() }));
        if wanted.is_empty() {
            // The forward had no row to read.
            return Ok(());
        }
        let has_visible = wanted.iter().any(|&position| ids[position] != self.vocabulary.mask_id);
        if self.is_plain_argmax(!states.is_empty(), has_visible)
            && let Some(top_tokens) = reader.top_tokens(0..wanted.len())?
        {
            for (prediction, top) in predictions.iter_mut().zip(top_tokens) {
                (prediction.token, prediction.confidence) = (top.token, top.probability);
            }
            return check_finite(predictions);
        }
        // States and wanted positions are both in ascending order, so they are matched in one pass.
        let mut states = states.iter_mut().peekable();
        for range in chunks(wanted.len()) {
            let logits = reader.read(range.clone())?;
            let is_shared = logits.len() >= WORTH_SHARING;
            let mut pending = Vec::with_capacity(range.len());
            for (logits, prediction) in logits.chunks_mut(self.vocabulary.padded_size).zip(&mut predictions[range]) {
                let state = states.next_if(|(position, _)| **position == prediction.position).map(|(_, state)| state);
                pending.push(Pending { logits, prediction, state });
            }
            if is_shared {
                pending.into_par_iter().for_each(|position| self.run(position, ids));
            } else {
                pending.into_iter().for_each(|position| self.run(position, ids));
            }
        }
        check_finite(predictions)
    }

    /// Returns true if the stages yield the most probable token and its probability for any logits. The model can then
    /// compute them itself, where that is faster.
    fn is_plain_argmax(&self, has_states: bool, has_visible: bool) -> bool {
        let config = self.config;
        let is_changed = self.boost.is_some() || self.truncation.is_some();
        let is_processed = config.logits_eos_inf || config.cfg_scale > 0.0 || has_states || is_changed;
        let is_drawn = config.temperature > 0.0;
        let is_probability = config.remasking == Remasking::LowConfidence && !config.confidence_eos_eot_inf;
        let is_all = !self.needs_entropy && (self.is_editing || !has_visible);
        !is_processed && !is_drawn && is_probability && is_all
    }

    /// Runs the stages that apply to the position: a masked one is predicted, a visible one is verified.
    fn run(&self, position: Pending<'_>, ids: &[u32]) {
        let Pending { logits, prediction, state } = position;
        let token = ids[prediction.position];
        self.ban_eos(logits);
        if let Some(boost) = self.boost.filter(|boost| boost.position == prediction.position)
            && let Some(logit) = logits.get_mut(boost.token as usize)
        {
            *logit += boost.amount;
        }
        if token == self.vocabulary.mask_id || self.is_editing {
            if let Some(state) = state {
                state.process(logits, prediction);
            }
            self.pick(logits, prediction);
        } else {
            // The logits of a visible position are those of its shadow.
            (prediction.token, prediction.confidence) = (token, softmax_at(logits, token));
        }
    }

    /// Picks a token from the processed logits and measures the confidence in it.
    fn pick(&self, logits: &mut [f32], prediction: &mut Prediction) {
        let token_noise = self.noise(Domain::Token, prediction.position);
        let draw = |logits: &mut [f32]| {
            without(logits, &self.vocabulary.banned, |logits| gumbel_max(logits, self.config.temperature, &token_noise))
        };
        prediction.token = match self.truncation {
            None => draw(logits),
            Some(truncation) if self.convention == Convention::Llada => {
                let mut truncated = logits.to_vec();
                truncation.apply(&mut truncated);
                draw(&mut truncated)
            }
            Some(truncation) => {
                truncation.apply(logits);
                draw(logits)
            }
        };
        if self.convention != Convention::Llada && self.config.temperature > 0.0 {
            let scale = self.config.temperature.recip() as f32;
            logits.iter_mut().for_each(|logit| *logit *= scale);
        }
        prediction.confidence = self.confidence(logits, prediction);
        if self.needs_entropy {
            prediction.entropy = -Remasking::Entropy.confidence(logits, prediction.token, || 0.0);
        }
    }

    fn noise(&self, domain: Domain, position: usize) -> Stream {
        Noise::new(self.config.seed).domain(domain).stream(0, self.step, position as u32)
    }

    fn ban_eos(&self, logits: &mut [f32]) {
        if self.config.logits_eos_inf {
            logits[self.vocabulary.special.eos as usize] = f32::NEG_INFINITY;
        }
    }

    /// Returns the confidence in the picked token. Deferred ids are banned in the logits first.
    fn confidence(&self, logits: &mut [f32], prediction: &Prediction) -> f32 {
        for id in self.config.deferred(self.vocabulary.special) {
            logits[id as usize] = f32::NEG_INFINITY;
        }
        // If the picked token itself is deferred, the measures below would be NaN when no finite logit remains. Its
        // confidence is the lowest value of the measure instead.
        let is_deferred = logits[prediction.token as usize] == f32::NEG_INFINITY;
        match self.config.remasking {
            Remasking::LowConfidence | Remasking::Margin if is_deferred => 0.0,
            Remasking::Entropy if is_deferred => -(logits.len() as f32).ln(),
            measure => measure
                .confidence(logits, prediction.token, || self.noise(Domain::Order, prediction.position).uniform()),
        }
    }
}

fn check_finite(predictions: &[Prediction]) -> Result<(), InferError> {
    match predictions.iter().find(|prediction| prediction.confidence.is_nan()) {
        Some(&Prediction { position, .. }) => Err(InferError::NotFinite { position }),
        None => Ok(()),
    }
}

/// Runs `f` on the logits with `ids` set to −∞, then restores them, because banned tokens still count in the softmax.
pub(crate) fn without<T>(logits: &mut [f32], ids: &[u32], f: impl FnOnce(&[f32]) -> T) -> T {
    let kept: Vec<f32> = ids.iter().map(|&id| std::mem::replace(&mut logits[id as usize], f32::NEG_INFINITY)).collect();
    let result = f(logits);
    for (&id, logit) in ids.iter().zip(kept) {
        logits[id as usize] = logit;
    }
    result
}
