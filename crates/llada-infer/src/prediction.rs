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
    constraint::{Logits, Measures, Reduced, Region},
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

    /// Predicts the masks of each constrained region jointly. Returns the log-mass of what the constraints allow.
    fn constrain(&self, predictions: &mut [Prediction], reduced: &[Option<Reduced>]) -> Option<f64> {
        let mut log_mass = None;
        for region in self.regions {
            let uniform = |position| self.noise(Domain::Order, position).uniform();
            let own = region.predict(predictions, reduced, self.measures(), uniform);
            log_mass = Some(log_mass.unwrap_or(0.0) + own);
        }
        for (prediction, reduced) in predictions.iter_mut().zip(reduced) {
            match reduced {
                Some(reduced) if !reduced.is_finite() => prediction.confidence = f32::NAN,
                Some(_) if self.config.remasking != Remasking::Random && self.is_deferred(prediction.token) => {
                    prediction.confidence = self.lowest_confidence();
                }
                _ => (),
            }
        }
        log_mass
    }

    /// Returns how the tokens of constrained positions are picked and measured.
    fn measures(&self) -> Measures {
        let &Self { config, needs_entropy, convention, .. } = self;
        let is_tempered = convention != Convention::Llada && config.temperature > 0.0;
        Measures {
            temperature: config.temperature,
            confidence_temperature: if is_tempered { config.temperature } else { 1.0 },
            remasking: config.remasking,
            needs_entropy: needs_entropy || config.remasking == Remasking::Entropy,
        }
    }

    fn is_deferred(&self, token: u32) -> bool {
        self.config.deferred(self.vocabulary.special).any(|id| id == token)
    }

    /// Returns the confidence of a prediction that is committed last.
    fn lowest_confidence(&self) -> f32 {
        match self.config.remasking {
            Remasking::Entropy => -(self.vocabulary.padded_size as f32).ln(),
            _ => 0.0,
        }
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
                state.process(logits, prediction);
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

    /// Reduces the processed logits of a constrained mask.
    fn reduce(&self, region: &Region, logits: &mut [f32], position: usize) -> Reduced {
        let noise = self.noise(Domain::Token, position);
        let penalised = self.truncation.map(|truncation| truncation.penalised(logits));
        let logits = match penalised.as_deref() {
            None => Logits { measured: logits, picked: None },
            picked if self.convention == Convention::Llada => Logits { measured: logits, picked },
            Some(penalised) => Logits { measured: penalised, picked: None },
        };
        region.reduce(position, logits, self.measures(), &noise)
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
            Remasking::LowConfidence | Remasking::Margin | Remasking::Entropy if is_deferred => {
                self.lowest_confidence()
            }
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
