//! wd1 ([arXiv 2507.08838](https://arxiv.org/abs/2507.08838)): a weighted likelihood of the completions, which grows for
//! those above their group and falls for those below it. There is no ratio and no clipping.
//!
//! The loss is $\sum_i (w^-_i - w^+_i)\\, S_i$ with $w^\pm = \text{softmax}(\pm \psi A)$ over the group, where $S_i$ is the
//! sum of the log-probabilities of completion $i$ under the view of [`DiffuGrpo`](super::diffu_grpo::DiffuGrpo).

use super::{Scored, Surrogate, check};
use crate::CoreError;
use serde::{Deserialize, Serialize};

/// The settings of wd1; the defaults are those of its code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wd1 {
    /// The probability that a token of the prompt is masked.
    pub p_mask_prompt: f64,
    /// The sharpness $\psi$ of the weights.
    pub psi: f64,
    /// Whether $S_i$ is the mean over the completion's tokens and not their sum.
    pub mean: bool,
}

impl Default for Wd1 {
    fn default() -> Self {
        Self { p_mask_prompt: 0.15, psi: 1.0, mean: false }
    }
}

impl Wd1 {
    /// Returns the loss of a group, whose completions have one view each.
    ///
    /// # Errors
    /// If log-probabilities do not fit the views.
    pub fn surrogate(&self, group: &[Scored<'_>]) -> Result<Surrogate, CoreError> {
        check(group)?;
        let plus = softmax(group.iter().map(|scored| self.psi * scored.advantage));
        let minus = softmax(group.iter().map(|scored| -self.psi * scored.advantage));
        let mut surrogate = Surrogate::zero(group);
        for (i, scored) in group.iter().enumerate() {
            let divisor = if self.mean { scored.completion.length as f64 } else { 1.0 };
            let weight = (plus[i] - minus[i]) / divisor;
            surrogate.loss -= weight * scored.log_probs.iter().flatten().sum::<f64>();
            surrogate.weights[i].iter_mut().flatten().for_each(|of_token| *of_token = weight);
        }
        Ok(surrogate)
    }
}

fn softmax(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|value| (value - most).exp()).sum();
    values.into_iter().map(|value| (value - most).exp() / sum).collect()
}
