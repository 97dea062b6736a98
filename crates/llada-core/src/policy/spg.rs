//! SPG, the sandwiched policy gradient ([arXiv 2510.09541](https://arxiv.org/abs/2510.09541)): the likelihood of a good
//! completion is raised through a lower bound, that of a bad one lowered through an upper bound, mixed with the lower.
//!
//! A view masks a part of one block and all that follows it, as block-wise sampling would, and a few tokens before it.
//! With the scored tokens $m_j$ of view $j$, their share $t_j = |m_j| / n$ of the completion and $T$ views,
//! $$\text{ELBO} = \frac{1}{T} \sum_j \frac{1}{|m_j|} \sum_{k \in m_j} \log p_{jk}, \qquad
//!   \text{EUBO} = \frac{1}{\beta |\cup m_j|} \sum_{k \in \cup m_j}
//!   \log \frac{1}{T} \sum_j \frac{p_{jk}^\beta}{t_j} \mathbf{1}\[k \in m_j\].$$

use super::{Completion, Scored, Surrogate, View, check};
use crate::CoreError;
use crate::likelihood::random_subset;
use crate::rng::{Domain, Noise};
use serde::{Deserialize, Serialize};

/// What stands for the likelihood of completions below their group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NegativeBound {
    /// The upper and the lower bound, mixed.
    #[default]
    Mix,
    /// The upper bound.
    Eubo,
    /// The lower bound.
    Elbo,
    /// Nothing: they are left out.
    Zero,
}

/// The settings of SPG; the defaults are those of its code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spg {
    /// The number of views.
    pub num_t: usize,
    /// The number of tokens of a block, which is the sampler's; it is no key of its own.
    #[serde(skip)]
    pub block_length: usize,
    /// The probability that a token of the prompt or of an earlier block is masked.
    pub p_mask_earlier: f64,
    /// What stands for the likelihood of completions below their group.
    pub logp_estimation: NegativeBound,
    /// The exponent $\beta$ of the upper bound.
    pub eubo_beta: f64,
    /// The weight of the upper bound in the mixture.
    pub mix_weight: f64,
}

impl Default for Spg {
    fn default() -> Self {
        Self {
            num_t: 2,
            block_length: 32,
            p_mask_earlier: 0.15,
            logp_estimation: NegativeBound::Mix,
            eubo_beta: 1.5,
            mix_weight: 0.5,
        }
    }
}

impl Spg {
    /// Draws the views of `completion`, in random blocks, which may coincide where the completion ends early.
    ///
    /// # Errors
    /// If the completion is empty, or `num_t` or `block_length` is 0.
    pub fn views(
        &self,
        completion: &Completion,
        noise: Noise,
        sample: u64,
        step: u32,
        mask_id: u32,
    ) -> Result<Vec<View>, CoreError> {
        CoreError::check_positive("completion", completion.length)?;
        CoreError::check_positive("num_t", self.num_t)?;
        CoreError::check_positive("block_length", self.block_length)?;
        let (start, end) = (completion.prompt_length, completion.prompt_length + completion.length);
        let blocks = completion.canvas().div_ceil(self.block_length);
        let used = completion.length.div_ceil(self.block_length);
        let shuffle = noise.domain(Domain::Shuffle);
        let drawn = random_subset(self.num_t.min(blocks), blocks, shuffle.stream(sample, step, 0));
        let mut views = Vec::with_capacity(self.num_t);
        for view in 0..self.num_t {
            let block = start + drawn[view % drawn.len()] % used * self.block_length;
            let inside = end.min(block + self.block_length) - block;
            let place = view as u32 + 1;
            let count = 1 + noise.domain(Domain::Time).stream(sample, step, place).below(inside as u64) as usize;
            let masked = random_subset(count, inside, shuffle.stream(sample, step, place));
            let earlier = noise.domain(Domain::Mask).stream(sample, step, place);
            let is_masked = |position: usize| match position.checked_sub(block) {
                None => earlier.at(position as u32) < self.p_mask_earlier,
                Some(place) if place < inside => masked.binary_search(&place).is_ok(),
                Some(_) => true,
            };
            views.push(completion.view(is_masked, mask_id));
        }
        Ok(views)
    }

    /// Returns the loss of `batch`: the mean over all tokens of the completions of advantage times bound, negated.
    ///
    /// # Errors
    /// If log-probabilities do not fit the views.
    pub fn surrogate(&self, batch: &[Scored<'_>]) -> Result<Surrogate, CoreError> {
        check(batch)?;
        let tokens: usize = batch.iter().map(|scored| scored.completion.length).sum();
        let mut surrogate = Surrogate::zero(batch);
        for (scored, weights) in batch.iter().zip(&mut surrogate.weights) {
            let share = scored.advantage * scored.completion.length as f64 / tokens as f64;
            for (factor, bound) in self.bounds(scored.advantage) {
                if factor != 0.0 {
                    surrogate.loss -= share * factor * bound(self, scored, share * factor, weights);
                }
            }
        }
        Ok(surrogate)
    }

    /// Returns the bounds that stand for the likelihood, with their factors.
    fn bounds(&self, advantage: f64) -> [(f64, Bound); 2] {
        let [upper, lower] = match self.logp_estimation {
            _ if advantage > 0.0 => [0.0, 1.0],
            NegativeBound::Mix => [self.mix_weight, 1.0 - self.mix_weight],
            NegativeBound::Eubo => [1.0, 0.0],
            NegativeBound::Elbo => [0.0, 1.0],
            NegativeBound::Zero => [0.0, 0.0],
        };
        [(upper, Self::eubo), (lower, Self::elbo)]
    }

    /// Returns the lower bound, and adds its derivatives times `factor` to `weights`.
    fn elbo(&self, scored: &Scored<'_>, factor: f64, weights: &mut [Vec<f64>]) -> f64 {
        let mut bound = 0.0;
        for (log_probs, weights) in scored.log_probs.iter().zip(weights) {
            let share = 1.0 / (scored.views.len() * log_probs.len()) as f64;
            for (log_prob, weight) in log_probs.iter().zip(weights) {
                bound += share * log_prob;
                *weight += factor * share;
            }
        }
        bound
    }

    /// Returns the upper bound, and adds its derivatives times `factor` to `weights`.
    fn eubo(&self, scored: &Scored<'_>, factor: f64, weights: &mut [Vec<f64>]) -> f64 {
        // By token: view, place in the view, and the logarithm of the view's term.
        let mut terms: Vec<Vec<(usize, usize, f64)>> = vec![Vec::new(); scored.completion.length];
        for (j, (view, log_probs)) in scored.views.iter().zip(scored.log_probs).enumerate() {
            let t = view.scored.len() as f64 / scored.completion.length as f64;
            for (place, (&position, log_prob)) in view.scored.iter().zip(log_probs).enumerate() {
                let term = self.eubo_beta * log_prob - t.ln();
                terms[position - scored.completion.prompt_length].push((j, place, term));
            }
        }
        terms.retain(|of_token| !of_token.is_empty());
        let (count, views) = (terms.len() as f64, scored.views.len() as f64);
        let mut bound = 0.0;
        for of_token in &terms {
            let most = of_token.iter().map(|&(.., term)| term).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = of_token.iter().map(|&(.., term)| (term - most).exp()).sum();
            bound += (most + (sum / views).ln()) / (self.eubo_beta * count);
            for &(j, place, term) in of_token {
                weights[j][place] += factor * (term - most).exp() / (sum * count);
            }
        }
        bound
    }
}

/// A bound of the likelihood, which also adds its derivatives.
type Bound = fn(&Spg, &Scored<'_>, f64, &mut [Vec<f64>]) -> f64;
