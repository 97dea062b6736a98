//! The pick of a token from the logits of its position, and the confidence in it.

use llada_core::{confidence::Remasking, rng::Domain, sampling::gumbel_max};

use super::Stages;
use crate::decoder::{Convention, Prediction};

impl Stages<'_> {
    /// Picks a token from the processed logits and measures the confidence in it.
    pub(super) fn pick(&self, logits: &mut [f32], prediction: &mut Prediction) {
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

    /// Returns true if predictions of a token are committed last.
    pub(super) fn is_deferred(&self, token: u32) -> bool {
        self.config.deferred(self.vocabulary.special).any(|id| id == token)
    }

    /// Returns the confidence of a prediction that is committed last.
    pub(super) fn lowest_confidence(&self) -> f32 {
        match self.config.remasking {
            Remasking::Entropy => -(self.vocabulary.padded_size as f32).ln(),
            _ => 0.0,
        }
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
