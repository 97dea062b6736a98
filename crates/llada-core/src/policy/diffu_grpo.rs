//! diffu-GRPO, the method of d1 ([arXiv 2504.12216](https://arxiv.org/abs/2504.12216)): the probabilities of a
//! completion's tokens are those under a fully masked completion, and GRPO's clipped ratio is taken of each.
//!
//! Masks in the prompt, other ones in each iteration, vary what the estimate sees.

use super::{Completion, LogProbs, Scored, Surrogate, View, check, clipped, k3};
use crate::CoreError;
use crate::rng::Stream;
use serde::{Deserialize, Serialize};

/// What a sum over tokens is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenNormalisation {
    /// The number of tokens of all completions (the published code).
    #[default]
    Token,
    /// The number of tokens of its completion, and the number of completions (the paper).
    Sequence,
    /// The number of tokens that there is room for in all completions.
    Constant,
}

/// The settings of diffu-GRPO; the defaults are those of d1's `train.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiffuGrpo {
    /// The probability that a token of the prompt is masked.
    pub p_mask_prompt: f64,
    /// How far the ratio of a token's probabilities counts, from 1.
    pub epsilon: f64,
    /// The weight of the divergence from the reference.
    pub beta: f64,
    /// What the sum over tokens is divided by.
    pub normalisation: TokenNormalisation,
}

impl Default for DiffuGrpo {
    fn default() -> Self {
        Self { p_mask_prompt: 0.15, epsilon: 0.5, beta: 0.04, normalisation: TokenNormalisation::Token }
    }
}

impl DiffuGrpo {
    /// Returns the view of `completion`: all of it masked, and the tokens of the prompt whose number is below
    /// `p_mask_prompt`.
    pub fn view(&self, completion: &Completion, noise: &Stream, mask_id: u32) -> View {
        let prompt = |position: usize| noise.at(position as u32) < self.p_mask_prompt;
        completion.view(|position| position >= completion.prompt_length || prompt(position), mask_id)
    }

    /// Returns the loss of `batch`, whose completions have one view each.
    ///
    /// # Errors
    /// If log-probabilities do not fit the views.
    pub fn surrogate(&self, batch: &[Scored<'_>]) -> Result<Surrogate, CoreError> {
        check(batch)?;
        let first = |log_probs: &LogProbs| log_probs.first().cloned().unwrap_or_default();
        let log_probs: Vec<_> = batch.iter().map(|scored| first(scored.log_probs)).collect();
        let old: Vec<_> = batch.iter().map(|scored| first(scored.old)).collect();
        let reference: Vec<_> = batch.iter().map(|scored| scored.reference.map(first)).collect();
        let mut surrogate = Surrogate::zero(batch);
        let tokens = TokenLoss { epsilon: self.epsilon, beta: self.beta, normalisation: self.normalisation };
        for (i, scored) in batch.iter().enumerate() {
            let divisor = tokens.divisor(batch, i);
            for (k, weight) in surrogate.weights[i].iter_mut().flatten().enumerate() {
                let reference = reference[i].as_ref().map(|of_tokens| of_tokens[k]);
                let [value, slope] = tokens.term(scored.advantage, log_probs[i][k], old[i][k], reference);
                surrogate.loss += value / divisor;
                *weight = -slope / divisor;
            }
        }
        Ok(surrogate)
    }
}

/// GRPO's loss of single tokens ([arXiv 2402.03300](https://arxiv.org/abs/2402.03300)).
pub(super) struct TokenLoss {
    pub(super) epsilon: f64,
    pub(super) beta: f64,
    pub(super) normalisation: TokenNormalisation,
}

impl TokenLoss {
    /// Returns the loss of a token and its derivative by the log-probability.
    pub(super) fn term(&self, advantage: f64, log_prob: f64, old: f64, reference: Option<f64>) -> [f64; 2] {
        let gain = clipped(log_prob - old, advantage, self.epsilon);
        let Some(reference) = reference else { return [gain.value, gain.slope] };
        let penalty = k3(log_prob, reference);
        [gain.value + self.beta * penalty.value, gain.slope + self.beta * penalty.slope]
    }

    /// Returns what the terms of completion `i` are divided by.
    pub(super) fn divisor(&self, batch: &[Scored<'_>], i: usize) -> f64 {
        let sum =
            |length: fn(&Completion) -> usize| batch.iter().map(|scored| length(scored.completion)).sum::<usize>();
        let divisor = match self.normalisation {
            TokenNormalisation::Token => sum(|completion| completion.length),
            TokenNormalisation::Sequence => batch.len() * batch[i].completion.length,
            TokenNormalisation::Constant => sum(Completion::canvas),
        };
        divisor as f64
    }
}
