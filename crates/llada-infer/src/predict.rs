//! From logits to predictions: the pick and the confidence of every masked position, guided or not.

use llada_core::{
    order::Remasking,
    predictor::Hidden,
    rng::{Domain, Noise},
    sampling::{gumbel_max, softmax_at},
};
use rayon::prelude::*;

use crate::{
    InferError, SamplerConfig, SpecialTokens,
    canvas::Canvas,
    decoder::{Memory, Prediction},
    logits::{LogitsReader, chunks},
    vocabulary::Vocabulary,
};

/// Logits that are worth a second thread.
const WORTH_SHARING: usize = 1 << 16;

/// Predicts every wanted position of the block of `canvas`.
pub(crate) fn predict<H: Hidden>(
    reader: &mut LogitsReader<'_, H>,
    vocabulary: &Vocabulary,
    canvas: &mut Canvas,
    predictions: &mut Vec<Prediction>,
) -> Result<(), InferError> {
    predictions.clear();
    predictions.extend(canvas.predicted().iter().map(|&position| Prediction { position, ..Default::default() }));
    let step = canvas.step() as u32;
    let Canvas { config, decoder, memories, ids, .. } = canvas;
    let reads_entropy = decoder.reads_entropy();
    let &Vocabulary { padded_size, mask_id, special, .. } = vocabulary;
    let alone = memories.is_empty() && predictions.iter().all(|prediction| ids[prediction.position] == mask_id);
    if alone
        && !reads_entropy
        && is_plain_argmax(config)
        && let Some(top_tokens) = reader.top_tokens(0..predictions.len())?
    {
        for (prediction, top) in predictions.iter_mut().zip(top_tokens) {
            (prediction.token, prediction.confidence) = (top.token, top.probability);
        }
        return finite(predictions);
    }
    let mut memories: Vec<_> = memories.values_mut().map(Some).collect();
    memories.resize_with(predictions.len(), || None);
    for range in chunks(predictions.len()) {
        let logits = reader.read(range.clone())?;
        let rule = Rule { config, reads_entropy, step, special, banned: &vocabulary.banned };
        let (chunk, memories) = (&mut predictions[range.clone()], &mut memories[range]);
        let apply = |((logits, prediction), memory): ((_, &mut Prediction), _)| match ids[prediction.position] {
            token if token == mask_id => rule.apply(logits, prediction, memory),
            token => rule.verify(logits, prediction, token),
        };
        if logits.len() < WORTH_SHARING {
            logits.chunks_mut(padded_size).zip(chunk).zip(memories).for_each(apply);
        } else {
            logits.par_chunks_mut(padded_size).zip(chunk).zip(memories).for_each(apply);
        }
    }
    finite(predictions)
}

/// Whether [`Rule`] would give the most probable token and its probability, whatever the logits.
fn is_plain_argmax(config: &SamplerConfig) -> bool {
    let bans = config.logits_eos_inf || config.confidence_eos_eot_inf;
    config.temperature == 0.0 && config.remasking == Remasking::LowConfidence && !bans
}

fn finite(predictions: &[Prediction]) -> Result<(), InferError> {
    match predictions.iter().find(|prediction| prediction.confidence.is_nan()) {
        Some(&Prediction { position, .. }) => Err(InferError::NotFinite { position }),
        None => Ok(()),
    }
}

/// What turns one row of logits into a token and its confidence.
#[derive(Clone, Copy)]
struct Rule<'a> {
    config: &'a SamplerConfig,
    reads_entropy: bool,
    step: u32,
    special: SpecialTokens,
    banned: &'a [u32],
}

impl Rule<'_> {
    fn ban_eos(&self, logits: &mut [f32]) {
        if self.config.logits_eos_inf {
            logits[self.special.eos as usize] = f32::NEG_INFINITY;
        }
    }

    /// How probable `token`, which is visible, is to its shadow.
    fn verify(&self, logits: &mut [f32], prediction: &mut Prediction, token: u32) {
        self.ban_eos(logits);
        (prediction.token, prediction.confidence) = (token, softmax_at(logits, token));
    }

    fn apply(&self, logits: &mut [f32], prediction: &mut Prediction, memory: &mut Option<&mut Box<dyn Memory>>) {
        let config = self.config;
        let position = prediction.position as u32;
        let noise = |domain| Noise::new(config.seed).domain(domain).stream(0, self.step, position);
        self.ban_eos(logits);
        if let Some(memory) = memory {
            memory.observe(logits, prediction);
        }
        prediction.token =
            without(logits, self.banned, |logits| gumbel_max(logits, config.temperature, &noise(Domain::Token)));
        if config.confidence_eos_eot_inf {
            // The reference bans end-of-text in the noised logits alone, which are the logits only at temperature 0.
            let eos = (!config.reference_compat || config.temperature == 0.0).then_some(self.special.eos);
            for id in eos.into_iter().chain(self.special.eot) {
                logits[id as usize] = f32::NEG_INFINITY;
            }
        }
        // The ban leaves the pick no probability, and perhaps no token any: the least that each measure can say.
        let banned = logits[prediction.token as usize] == f32::NEG_INFINITY;
        prediction.confidence = match config.remasking {
            Remasking::LowConfidence | Remasking::Margin if banned => 0.0,
            Remasking::Entropy if banned => -(logits.len() as f32).ln(),
            measure => measure.confidence(logits, prediction.token, || noise(Domain::Order).uniform()),
        };
        if self.reads_entropy {
            prediction.entropy = -Remasking::Entropy.confidence(logits, prediction.token, || 0.0);
        }
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
