//! Policy gradients for masked diffusion: what published methods make of log-probabilities under masks, and the weights of
//! cross-entropies that have the gradient of their losses.
//!
//! The likelihood of a completion cannot be computed, so each method estimates it, or the probabilities of its tokens,
//! from a few [`View`]s: the completion under some of its masks. The methods differ in the views, in what they take from
//! them, and in the loss. Common to all: a loss is a function of log-probabilities, so its gradient is that of
//! $\sum_k w_k \cdot \text{CE}\_k$ with the weights $w_k = -\partial\,\text{loss} / \partial \log p_k$ held constant.
//!
//! Completions of one prompt are a group. A group's rewards become advantages ([`Advantage`]), and a method turns views
//! with log-probabilities and advantages into a [`Surrogate`].
//!
//! | method | views | source |
//! |---|---|---|
//! | [`diffu_grpo`] | the whole completion masked, a part of the prompt | d1, [2504.12216](https://arxiv.org/abs/2504.12216) |
//! | [`wd1`] | the same | [2507.08838](https://arxiv.org/abs/2507.08838) |
//! | [`coupled_grpo`] | the whole completion, a random part, its complement | DiffuCoder, [2506.20639](https://arxiv.org/abs/2506.20639) |
//! | [`spg`] | block by block | [2510.09541](https://arxiv.org/abs/2510.09541) |
//! | [`trace_rl`] | as the completion was generated | [2509.06949](https://arxiv.org/abs/2509.06949) |
//! | [`espo`] | a random part of exact size, its complement | [2512.03759](https://arxiv.org/abs/2512.03759) |

pub mod coupled_grpo;
pub mod diffu_grpo;
pub mod espo;
mod method;
pub mod spg;
pub mod trace_rl;
pub mod wd1;

pub use self::method::{Draw, DrawKey, Method, Rollout};
use crate::CoreError;
use serde::{Deserialize, Serialize};

/// A prompt and a completion of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The ids of prompt and completion. The completion has its full length: what follows its end-of-text is kept.
    pub ids: Vec<u32>,
    /// The number of tokens of the prompt.
    pub prompt_length: usize,
    /// The number of tokens of the completion up to and with its first end-of-text: those whose probabilities count.
    pub length: usize,
    /// Whether it has an end-of-text, which is then the last of these.
    pub is_ended: bool,
}

impl Completion {
    /// Returns the number of tokens of the completion, with what follows its end.
    pub fn canvas(&self) -> usize {
        self.ids.len() - self.prompt_length
    }

    /// Returns the row with masks at the given places, and those among them that count.
    ///
    /// # Shapes
    /// masked: one per token of the row.
    fn view(&self, masked: impl Fn(usize) -> bool, mask_id: u32) -> View {
        let mut view = View { ids: self.ids.clone(), scored: Vec::new() };
        for position in 0..self.ids.len() {
            if masked(position) {
                view.ids[position] = mask_id;
                if self.counts(position) {
                    view.scored.push(position);
                }
            }
        }
        view
    }

    fn counts(&self, position: usize) -> bool {
        (self.prompt_length..self.prompt_length + self.length).contains(&position)
    }
}

/// A row with masks, and the tokens of it whose log-probabilities a method reads.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The ids with masks.
    pub ids: Vec<u32>,
    /// The positions of those tokens, in ascending order. All are masked.
    pub scored: Vec<usize>,
}

/// The log-probabilities of a completion's scored tokens, in the order of its views.
pub type LogProbs = Vec<Vec<f64>>;

/// What a method reads of one completion.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// The completion.
    pub completion: &'a Completion,
    /// Its views.
    pub views: &'a [View],
    /// Its advantage over the others of its group.
    pub advantage: f64,
    /// The log-probabilities under the policy.
    pub log_probs: &'a LogProbs,
    /// Those under the policy that generated the completion.
    pub old: &'a LogProbs,
    /// Those under a fixed reference, where the method has a penalty for leaving it.
    pub reference: Option<&'a LogProbs>,
}

/// A loss and the weights whose cross-entropies have its gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Surrogate {
    /// The loss.
    pub loss: f64,
    /// What each scored token's cross-entropy weighs: by completion, view and token.
    pub weights: Vec<LogProbs>,
}

impl Surrogate {
    /// Returns a loss of zero over `batch`, to be added to.
    fn zero(batch: &[Scored<'_>]) -> Self {
        let mut weights = Vec::with_capacity(batch.len());
        for scored in batch {
            weights.push(scored.log_probs.iter().map(|view| vec![0.0; view.len()]).collect());
        }
        Self { loss: 0.0, weights }
    }
}

/// Refuses log-probabilities that do not belong to the views of their completion.
fn check(batch: &[Scored<'_>]) -> Result<(), CoreError> {
    for scored in batch {
        for log_probs in [Some(scored.log_probs), Some(scored.old), scored.reference].into_iter().flatten() {
            CoreError::check_length("log_probs", log_probs.len(), scored.views.len())?;
            for (of_view, view) in log_probs.iter().zip(scored.views) {
                CoreError::check_length("log_probs", of_view.len(), view.scored.len())?;
            }
        }
    }
    Ok(())
}

/// What a group's rewards are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Advantage {
    /// The mean of the group (d1, wd1, SPG).
    Centered,
    /// The mean of the others of the group (coupled-GRPO, ESPO).
    LeaveOneOut,
    /// The mean, in units of the sample's standard deviation plus $10^{-4}$ (GRPO).
    Standardized,
    /// The mean, in units of the population's standard deviation; 0 if all rewards are equal (TraceRL).
    ZScore,
}

impl Advantage {
    /// Returns the advantages of a group.
    ///
    /// # Shapes
    /// `rewards` and the result: one per completion.
    pub fn of(self, rewards: &[f64]) -> Vec<f64> {
        let count = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / count;
        let squares: f64 = rewards.iter().map(|reward| (reward - mean).powi(2)).sum();
        let scale = match self {
            Self::Centered => 1.0,
            // r - (n m - r) / (n - 1) = (r - m) n / (n - 1)
            Self::LeaveOneOut if count > 1.0 => count / (count - 1.0),
            Self::Standardized if count > 1.0 => 1.0 / ((squares / (count - 1.0)).sqrt() + 1e-4),
            Self::ZScore if squares > 0.0 => 1.0 / (squares / count).sqrt(),
            Self::LeaveOneOut | Self::Standardized | Self::ZScore => 0.0,
        };
        rewards.iter().map(|reward| (reward - mean) * scale).collect()
    }
}

/// A term of a loss: its value, and its derivative by the policy's log-probability.
#[derive(Clone, Copy, Debug)]
struct Term {
    value: f64,
    slope: f64,
}

/// Returns the clipped objective of PPO ([Schulman et al., 2017](https://arxiv.org/abs/1707.06347)), as a loss:
/// $-\min(rA, \text{clip}(r, 1 - \epsilon, 1 + \epsilon) A)$ with $r = e^{\text{log ratio}}$.
fn clipped(log_ratio: f64, advantage: f64, epsilon: f64) -> Term {
    let ratio = log_ratio.exp();
    let plain = ratio * advantage;
    let bounded = ratio.clamp(1.0 - epsilon, 1.0 + epsilon) * advantage;
    // At equality the ratio is within the bounds.
    if plain <= bounded { Term { value: -plain, slope: -plain } } else { Term { value: -bounded, slope: 0.0 } }
}

/// Returns $e^{d} - d - 1$ with $d = \log p_{\text{other}} - \log p$, the estimate k3 of the divergence
/// ([Schulman, 2020](http://joschu.net/blog/kl-approx.html)).
fn k3(log_prob: f64, other: f64) -> Term {
    let difference = other - log_prob;
    Term { value: difference.exp() - difference - 1.0, slope: 1.0 - difference.exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_have_their_slopes() {
        for x in [-0.9, -0.3, 0.0, 0.1, 0.8] {
            for advantage in [-1.5, 2.0] {
                let (h, at) = (1e-6, |x: f64| clipped(x, advantage, 0.2).value);
                let quotient = (at(x + h) - at(x - h)) / (2.0 * h);
                assert!((quotient - clipped(x, advantage, 0.2).slope).abs() < 1e-5, "{x} {advantage}");
            }
            let quotient = (k3(x + 1e-6, 0.4).value - k3(x - 1e-6, 0.4).value) / 2e-6;
            assert!((quotient - k3(x, 0.4).slope).abs() < 1e-5, "{x}");
        }
    }

    #[test]
    fn a_group_of_one_has_no_advantage() {
        for advantage in [Advantage::Centered, Advantage::LeaveOneOut, Advantage::Standardized, Advantage::ZScore] {
            assert_eq!(advantage.of(&[3.0]), [0.0], "{advantage:?}");
            assert_eq!(advantage.of(&[2.0, 2.0]), [0.0, 0.0], "{advantage:?}");
        }
    }
}
