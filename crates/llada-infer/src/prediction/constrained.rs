//! The joint prediction of constrained masks.

use llada_core::{confidence::Remasking, rng::Domain};

use super::Stages;
use crate::{
    constraint::{Logits, Measures, Reduced, Region},
    decoder::{Convention, Prediction},
};

impl Stages<'_> {
    /// Reduces the processed logits of a constrained mask.
    pub(super) fn reduce(&self, region: &Region, logits: &mut [f32], position: usize) -> Reduced {
        let noise = self.noise(Domain::Token, position);
        let penalised = self.truncation.map(|truncation| truncation.penalised(logits));
        let logits = match penalised.as_deref() {
            None => Logits { measured: logits, picked: None },
            picked if self.convention == Convention::Llada => Logits { measured: logits, picked },
            Some(penalised) => Logits { measured: penalised, picked: None },
        };
        region.reduce(position, logits, self.measures(), &noise)
    }

    /// Predicts the masks of each constrained region jointly. Returns the log-mass of what the constraints allow.
    pub(super) fn constrain(&self, predictions: &mut [Prediction], reduced: &[Option<Reduced>]) -> Option<f64> {
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
}
