//! Decisions: how probable each option of a question is among its options, and how well that is known.
//!
//! With $\ell_i$ for the estimated log-likelihood of option $i$, its probability is the softmax
//! $p_i = e^{\ell_i} / \sum_j e^{\ell_j}$. To first order an error $\delta$ of the estimates moves it by
//! $p_i (\delta_i - \sum_j p_j \delta_j)$ (the delta method). The options share their noise, so each mini-batch has such an
//! error for all of them, and what they have in common cancels.

use llada_core::likelihood::covariance;
use serde::{Deserialize, Serialize};

use super::Score;

/// What the probabilities of options are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionWeight {
    /// The likelihood of the option. The probabilities are the model's own, given that the answer is one of the options.
    #[default]
    Likelihood,
    /// The likelihood per token, its geometric mean. It lets a long option compete with a short one, and is the probability
    /// of nothing.
    LikelihoodPerToken,
}

/// The probability of an option among the options of its question.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OptionProbability {
    /// The probability. Those of a question add up to 1.
    pub probability: f64,
    /// The standard error of `probability`; `None` if there is only one sample, and 0 if all options are exact.
    pub standard_error: Option<f64>,
}

/// Computes the probabilities of the options of a question from their scores, which were estimated together.
pub fn decide(scores: &[Score], weight: OptionWeight) -> Vec<OptionProbability> {
    let scale = |score: &Score| match weight {
        OptionWeight::Likelihood => 1.0,
        OptionWeight::LikelihoodPerToken => 1.0 / score.tokens.max(1) as f64,
    };
    let logits: Vec<f64> = scores.iter().map(|score| scale(score) * score.estimate.log_likelihood).collect();
    let probabilities = softmax(&logits);
    // An exact option has no deviations: it moves with no mini-batch.
    let parts = scores.iter().map(|score| score.deviations.len()).max().unwrap_or_default();
    let deviation = |score: &Score, part: usize| scale(score) * score.deviations.get(part).copied().unwrap_or_default();
    let mut common = vec![0.0; parts];
    for (score, p) in scores.iter().zip(&probabilities) {
        for (part, common) in common.iter_mut().enumerate() {
            *common += p * deviation(score, part);
        }
    }
    let mut decided = Vec::with_capacity(scores.len());
    for (score, &probability) in scores.iter().zip(&probabilities) {
        let errors = common.iter().enumerate().map(|(part, common)| probability * (deviation(score, part) - common));
        let errors: Vec<f64> = errors.collect();
        let variance = if parts == 0 { Some(0.0) } else { covariance(&errors, &errors) };
        decided.push(OptionProbability { probability, standard_error: variance.map(f64::sqrt) });
    }
    decided
}

/// Relative to the highest, because likelihoods of whole sentences underflow.
fn softmax(logits: &[f64]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use llada_core::likelihood::Estimate;

    use super::*;

    fn exact(log_likelihood: f64, tokens: usize) -> Score {
        let estimate = Estimate::exact(log_likelihood, tokens);
        Score { estimate, nfe: 1, tokens, deviations: Vec::new() }
    }

    fn values(scores: &[Score], weight: OptionWeight) -> Vec<f64> {
        decide(scores, weight).iter().map(|option| option.probability).collect()
    }

    #[test]
    fn probabilities_are_the_softmax_of_log_likelihoods() {
        let scores = [exact(0.2_f64.ln(), 1), exact(0.1_f64.ln(), 2), exact(0.1_f64.ln(), 1)];
        for (found, expected) in values(&scores, OptionWeight::Likelihood).iter().zip([0.5, 0.25, 0.25]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert!(decide(&scores, OptionWeight::Likelihood).iter().all(|option| option.standard_error == Some(0.0)));
        // Per token the second weighs as much as the square root of 0.1.
        let root = 0.1_f64.sqrt();
        let found = values(&scores, OptionWeight::LikelihoodPerToken)[1];
        assert!((found - root / (0.3 + root)).abs() < 1e-12);
        // Sentences of a thousand nats do not underflow.
        assert_eq!(values(&[exact(-2000.0, 500), exact(-2000.0, 500)], OptionWeight::Likelihood), [0.5, 0.5]);
    }

    #[test]
    fn what_errors_have_in_common_cancels() {
        let with = |deviations: &[f64]| Score { deviations: deviations.to_vec(), ..exact(-1.0, 2) };
        let [a, b] = [with(&[0.1, -0.1]), with(&[0.1, -0.1])];
        assert_eq!(decide(&[a.clone(), b], OptionWeight::Likelihood)[0].standard_error, Some(0.0));
        // Against an exact option p (1 - p) = 1/4 of the error is left, and its standard deviation is 0.1 * 2.
        let error = decide(&[a, exact(-1.0, 1)], OptionWeight::Likelihood)[0].standard_error.unwrap();
        assert!((error - 0.25 * 0.2).abs() < 1e-12, "{error}");
        assert_eq!(decide(&[with(&[0.0]), exact(-1.0, 1)], OptionWeight::Likelihood)[0].standard_error, None);
    }
}
