//! From logits to predictions, in stages: what processes the logits, the token that is picked, the confidence in it. What
//! becomes of the predictions is the decoder's choice.

use std::collections::BTreeMap;

use llada_core::{
    confidence::Remasking,
    predictor::Hidden,
    rng::{Domain, Noise},
    sampling::{gumbel_max, softmax_at},
};
use rayon::prelude::*;

use crate::{
    InferError, SamplerConfig, StepContext,
    decoder::{Decoder, PositionState, Prediction},
    logits::{LogitsReader, chunks},
    vocabulary::Vocabulary,
};

/// Logits that are worth a second thread.
const WORTH_SHARING: usize = 1 << 16;

/// The stages of one request's step.
#[derive(Clone, Copy)]
pub(crate) struct Stages<'a> {
    config: &'a SamplerConfig,
    vocabulary: &'a Vocabulary,
    step: u32,
    needs_entropy: bool,
}

impl<'a> Stages<'a> {
    pub(crate) fn new(
        config: &'a SamplerConfig,
        decoder: &dyn Decoder,
        vocabulary: &'a Vocabulary,
        at: &StepContext,
    ) -> Self {
        Self { config, vocabulary, step: at.step as u32, needs_entropy: decoder.needs_entropy() }
    }

    /// Writes the predictions of the `wanted` positions of `ids`, the first that the reader's row wants, into
    /// `predictions`. `states` has an entry for each of them, or for none.
    ///
    /// # Errors
    /// The predictor fails, or gives logits that are not finite.
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
            // Its row was not in the forward.
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
        let mut states = states.iter_mut().peekable();
        let mut states_of_wanted: Vec<Option<&mut Box<dyn PositionState>>> = Vec::with_capacity(wanted.len());
        for position in wanted {
            states_of_wanted.push(states.next_if(|(at, _)| *at == position).map(|(_, state)| state));
        }
        let width = self.vocabulary.padded_size;
        for range in chunks(wanted.len()) {
            let logits = reader.read(range.clone())?;
            let (predictions, states) = (&mut predictions[range.clone()], &mut states_of_wanted[range]);
            let predict = |((logits, prediction), state): ((&mut [f32], &mut Prediction), &mut Option<_>)| {
                let token = ids[prediction.position];
                if token == self.vocabulary.mask_id {
                    self.run(logits, prediction, state.take());
                } else {
                    self.verify(logits, prediction, token);
                }
            };
            if logits.len() < WORTH_SHARING {
                logits.chunks_mut(width).zip(predictions).zip(states).for_each(predict);
            } else {
                logits.par_chunks_mut(width).zip(predictions).zip(states).for_each(predict);
            }
        }
        check_finite(predictions)
    }

    /// Whether the stages give the most probable token and its probability, whatever the logits: then a model may as well
    /// find them itself.
    fn is_plain_argmax(&self, has_states: bool, has_visible: bool) -> bool {
        let config = self.config;
        let is_processed = config.logits_eos_inf || config.cfg_scale > 0.0 || has_states;
        let is_drawn = config.temperature > 0.0;
        let is_probability = config.remasking == Remasking::LowConfidence && !config.confidence_eos_eot_inf;
        let is_all = !self.needs_entropy && !has_visible;
        !is_processed && !is_drawn && is_probability && is_all
    }

    /// All stages of a masked position.
    fn run(&self, logits: &mut [f32], prediction: &mut Prediction, state: Option<&mut Box<dyn PositionState>>) {
        let noise = Noise::new(self.config.seed);
        let noise = |domain| noise.domain(domain).stream(0, self.step, prediction.position as u32);
        let (of_token, mut of_order) = (noise(Domain::Token), noise(Domain::Order));
        self.process(logits, prediction, state);
        prediction.token =
            without(logits, &self.vocabulary.banned, |logits| gumbel_max(logits, self.config.temperature, &of_token));
        prediction.confidence = self.confidence(logits, prediction.token, || of_order.uniform());
        if self.needs_entropy {
            prediction.entropy = -Remasking::Entropy.confidence(logits, prediction.token, || 0.0);
        }
    }

    /// Changes the logits before a token is picked from them.
    fn process(&self, logits: &mut [f32], prediction: &mut Prediction, state: Option<&mut Box<dyn PositionState>>) {
        self.ban_eos(logits);
        if let Some(state) = state {
            state.process(logits, prediction);
        }
    }

    fn ban_eos(&self, logits: &mut [f32]) {
        if self.config.logits_eos_inf {
            logits[self.vocabulary.special.eos as usize] = f32::NEG_INFINITY;
        }
    }

    /// How sure the model is of `token`.
    fn confidence(&self, logits: &mut [f32], token: u32, uniform: impl FnOnce() -> f64) -> f32 {
        for id in self.config.deferred(self.vocabulary.special) {
            logits[id as usize] = f32::NEG_INFINITY;
        }
        // The ban leaves the picked token no probability, and perhaps no token any: the least that each measure can say.
        let banned = logits[token as usize] == f32::NEG_INFINITY;
        match self.config.remasking {
            Remasking::LowConfidence | Remasking::Margin if banned => 0.0,
            Remasking::Entropy if banned => -(logits.len() as f32).ln(),
            measure => measure.confidence(logits, token, uniform),
        }
    }

    /// How probable `token`, which is visible, is to its shadow.
    fn verify(&self, logits: &mut [f32], prediction: &mut Prediction, token: u32) {
        self.ban_eos(logits);
        (prediction.token, prediction.confidence) = (token, softmax_at(logits, token));
    }
}

fn check_finite(predictions: &[Prediction]) -> Result<(), InferError> {
    match predictions.iter().find(|prediction| prediction.confidence.is_nan()) {
        Some(&Prediction { position, .. }) => Err(InferError::NotFinite { position }),
        None => Ok(()),
    }
}

/// Runs `f` on the logits with `ids` left out, then puts them back: a token that is never emitted still counts in the
/// softmax.
pub(crate) fn without<T>(logits: &mut [f32], ids: &[u32], f: impl FnOnce(&[f32]) -> T) -> T {
    let kept: Vec<f32> = ids.iter().map(|&id| std::mem::replace(&mut logits[id as usize], f32::NEG_INFINITY)).collect();
    let result = f(logits);
    for (&id, logit) in ids.iter().zip(kept) {
        logits[id as usize] = logit;
    }
    result
}
