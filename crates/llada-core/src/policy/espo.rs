//! ESPO ([arXiv 2512.03759](https://arxiv.org/abs/2512.03759)): the ratio is one of whole completions, whose likelihoods
//! are estimated by the evidence lower bound under a mask of exact size and its complement.
//!
//! With $x$ of $L$ tokens masked, the estimate is
//! $\frac{1}{2} \left\[ \frac{L + 1}{x} \sum_{\text{masked}} \log p + \frac{1}{L / (L + 1) - x / (L + 1)}
//! \sum_{\text{others}} \log p \right\]$, where the second sum is taken under the complement.

use super::{Completion, LogProbs, Scored, Surrogate, View, check, clipped};
use crate::CoreError;
use serde::{Deserialize, Serialize};

/// The settings of ESPO; the defaults are those of its code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Espo {
    /// How far the ratio counts, from 1.
    pub epsilon: f64,
    /// The weight of the divergence from the reference.
    pub beta: f64,
}

impl Default for Espo {
    fn default() -> Self {
        Self { epsilon: 0.2, beta: 1e-3 }
    }
}

impl Espo {
    /// Returns the numbers of masked tokens of `rows` completions of `canvas` tokens: points at equal distances on the
    /// circle of 0 to `canvas`, from `first` on.
    pub fn counts(first: usize, rows: usize, canvas: usize) -> Vec<usize> {
        let circle = canvas + 1;
        let point = |row: usize| first as f64 + (row * circle) as f64 / rows as f64;
        (0..rows).map(|row| point(row).round_ties_even() as usize % circle).collect()
    }

    /// Returns two views of `completion`: the tokens at the places `masked` of it masked, and the others. All of them are
    /// scored, with those after the end.
    pub fn views(&self, completion: &Completion, masked: &[usize], mask_id: u32) -> [View; 2] {
        let mut views = [(); 2].map(|()| View { ids: completion.ids.clone(), scored: Vec::new() });
        for token in 0..completion.canvas() {
            let view = &mut views[usize::from(!masked.contains(&token))];
            view.ids[completion.prompt_length + token] = mask_id;
            view.scored.push(completion.prompt_length + token);
        }
        views
    }

    /// Returns the estimate of the log-likelihood of a completion with `count` masked tokens in its first view.
    pub fn bound(completion: &Completion, count: usize, log_probs: &LogProbs) -> f64 {
        let factors = factors(completion, count).into_iter().zip(log_probs);
        factors.map(|(factor, of_view)| factor * of_view.iter().sum::<f64>()).sum()
    }

    /// Returns the loss of `batch`, whose completions have `counts` masked tokens in their first views.
    ///
    /// # Errors
    /// If log-probabilities do not fit the views, or there is not one count per completion.
    pub fn surrogate(&self, batch: &[Scored<'_>], counts: &[usize]) -> Result<Surrogate, CoreError> {
        check(batch)?;
        CoreError::check_length("counts", counts.len(), batch.len())?;
        let rows = batch.len() as f64;
        let mut surrogate = Surrogate::zero(batch);
        for ((scored, weights), &count) in batch.iter().zip(&mut surrogate.weights).zip(counts) {
            let length = scored.completion.canvas() as f64;
            let bound = |log_probs: &LogProbs| Self::bound(scored.completion, count, log_probs);
            let now = bound(scored.log_probs);
            let gain = clipped((now - bound(scored.old)) / length, scored.advantage, self.epsilon);
            let (mut value, mut slope) = (gain.value, gain.slope / length);
            if let Some(reference) = scored.reference {
                let difference = now - bound(reference);
                value += self.beta * difference.powi(2) / (2.0 * length);
                slope += self.beta * difference / length;
            }
            surrogate.loss += value / rows;
            for (weights, factor) in weights.iter_mut().zip(factors(scored.completion, count)) {
                weights.iter_mut().for_each(|weight| *weight = -slope / rows * factor);
            }
        }
        Ok(surrogate)
    }
}

/// Returns what the sum of each view's log-probabilities is multiplied by.
fn factors(completion: &Completion, count: usize) -> [f64; 2] {
    let canvas = completion.canvas();
    let half_inverse = |masked: usize| if masked > 0 { 0.5 * (canvas + 1) as f64 / masked as f64 } else { 0.0 };
    [half_inverse(count), half_inverse(canvas - count)]
}
