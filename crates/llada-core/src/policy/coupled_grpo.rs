//! Coupled GRPO, the method of DiffuCoder ([arXiv 2506.20639](https://arxiv.org/abs/2506.20639)): a token's
//! log-probability is estimated under a fully masked completion and under one of two masks that complement each other, so
//! that every token is scored twice.
//!
//! With the share $\rho$ of the first mask, $\log p = \frac{1}{2} (\log p_{\text{all}} + \log p_m / \rho)$ for a token of
//! the first mask and $\frac{1}{2} (\log p_{\text{all}} + \log p_m / (1 - \rho))$ for one of the second.

use super::diffu_grpo::{TokenLoss, TokenNormalisation};
use super::{Completion, LogProbs, Scored, Surrogate, View, check};
use crate::CoreError;
use crate::rng::Stream;
use serde::{Deserialize, Serialize};

/// The settings of coupled GRPO; the defaults are those of DiffuCoder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoupledGrpo {
    /// The least and the largest share of the first mask.
    pub mask_ratio: [f64; 2],
    /// How far the ratio of a token's probabilities counts, from 1.
    pub epsilon: f64,
    /// The weight of the divergence from the reference.
    pub beta: f64,
}

impl Default for CoupledGrpo {
    fn default() -> Self {
        Self { mask_ratio: [0.2, 0.8], epsilon: 0.5, beta: 0.01 }
    }
}

impl CoupledGrpo {
    /// Returns the share of the first mask for a number that is uniform in (0, 1).
    pub fn ratio(&self, uniform: f64) -> f64 {
        let [least, most] = self.mask_ratio;
        least + (most - least) * uniform
    }

    /// Returns three views of `completion`: all of it masked, the tokens whose number is below `ratio`, and the others.
    pub fn views(&self, completion: &Completion, ratio: f64, noise: &Stream, mask_id: u32) -> [View; 3] {
        let start = completion.prompt_length;
        let is_first = |position: usize| noise.at((position - start) as u32) < ratio;
        [
            completion.view(|position| position >= start, mask_id),
            completion.view(|position| position >= start && is_first(position), mask_id),
            completion.view(|position| position >= start && !is_first(position), mask_id),
        ]
    }

    /// Returns the loss of `batch`, whose completions have the views of [`views`](Self::views) with this `ratio`.
    ///
    /// # Errors
    /// If log-probabilities do not fit the views.
    pub fn surrogate(&self, batch: &[Scored<'_>], ratio: f64) -> Result<Surrogate, CoreError> {
        check(batch)?;
        let shares = [2.0, 2.0 * ratio, 2.0 * (1.0 - ratio)];
        let mut surrogate = Surrogate::zero(batch);
        let tokens = TokenLoss { epsilon: self.epsilon, beta: self.beta, normalisation: TokenNormalisation::Token };
        for (i, scored) in batch.iter().enumerate() {
            let divisor = tokens.divisor(batch, i);
            let combine = |log_probs: &LogProbs| combined(scored, log_probs, shares);
            let (log_probs, old) = (combine(scored.log_probs), combine(scored.old));
            let reference = scored.reference.map(combine);
            let mut slopes = vec![0.0; log_probs.len()];
            for (k, slope) in slopes.iter_mut().enumerate() {
                let reference = reference.as_ref().map(|of_tokens| of_tokens[k]);
                let term = tokens.term(scored.advantage, log_probs[k], old[k], reference);
                surrogate.loss += term[0] / divisor;
                *slope = term[1] / divisor;
            }
            for ((view, weights), share) in scored.views.iter().zip(&mut surrogate.weights[i]).zip(shares) {
                for (&position, weight) in view.scored.iter().zip(weights) {
                    *weight = -slopes[position - scored.completion.prompt_length] / share;
                }
            }
        }
        Ok(surrogate)
    }
}

/// Returns the estimates of a completion's log-probabilities, one per token that counts.
fn combined(scored: &Scored<'_>, log_probs: &LogProbs, shares: [f64; 3]) -> Vec<f64> {
    let mut sums = vec![0.0; scored.completion.length];
    for ((view, of_view), share) in scored.views.iter().zip(log_probs).zip(shares) {
        for (&position, log_prob) in view.scored.iter().zip(of_view) {
            sums[position - scored.completion.prompt_length] += log_prob / share;
        }
    }
    sums
}
