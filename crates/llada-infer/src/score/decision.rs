//! Decisions: how probable each option of a question is among its options, and how well that is known.
//!
//! With $\ell_i$ for the estimated log-likelihood of option $i$, its probability is the softmax
//! $p_i = e^{\ell_i} / \sum_j e^{\ell_j}$. To first order an error $\delta$ of the estimates moves it by
//! $p_i (\delta_i - \sum_j p_j \delta_j)$ (the delta method). The options share their noise, so each mini-batch has such an
//! error for all of them, and what they have in common cancels.

use llada_core::likelihood::covariance;

use super::Score;

/// The distribution over the options of a question, estimated from their scores.
#[derive(Debug, Clone, PartialEq)]
pub struct OptionDistribution {
    probabilities: Vec<f64>,
    /// What each mini-batch contributes to the error of each probability; nothing if all options are exact.
    deviations: Vec<Vec<f64>>,
}

/// The expected value of a function of the option, such as the probability of one of them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Expectation {
    /// The expected value.
    pub value: f64,
    /// The standard error of `value`; `None` if there is only one sample, and 0 if all options are exact.
    pub standard_error: Option<f64>,
}

impl OptionDistribution {
    /// Computes the distribution from the scores of the options, which were estimated together.
    pub fn from_scores(scores: &[Score]) -> Self {
        let log_likelihoods: Vec<f64> = scores.iter().map(|score| score.estimate.log_likelihood).collect();
        let probabilities = softmax(&log_likelihoods);
        let parts = scores.iter().map(|score| score.deviations.len()).max().unwrap_or_default();
        let mut common = vec![0.0; parts];
        for (score, p) in scores.iter().zip(&probabilities) {
            for (common, deviation) in common.iter_mut().zip(&score.deviations) {
                *common += p * deviation;
            }
        }
        let mut deviations = Vec::with_capacity(scores.len());
        for (score, p) in scores.iter().zip(&probabilities) {
            let mut own = Vec::with_capacity(parts);
            for (part, common) in common.iter().enumerate() {
                // An exact option has no deviations: it moves with no mini-batch.
                let deviation = score.deviations.get(part).copied().unwrap_or_default();
                own.push(p * (deviation - common));
            }
            deviations.push(own);
        }
        Self { probabilities, deviations }
    }

    /// Returns the probabilities of the options, which add up to 1.
    pub fn probabilities(&self) -> Vec<Expectation> {
        let options = self.probabilities.iter().zip(&self.deviations);
        options.map(|(&value, deviations)| Expectation::new(value, deviations)).collect()
    }

    /// Returns the expected value of what is `values[i]` if option `i` holds.
    pub fn expectation(&self, values: &[f64]) -> Expectation {
        let parts = self.deviations.first().map_or(0, Vec::len);
        let (mut sum, mut errors) = (0.0, vec![0.0; parts]);
        for ((value, p), deviations) in values.iter().zip(&self.probabilities).zip(&self.deviations) {
            sum += value * p;
            for (error, deviation) in errors.iter_mut().zip(deviations) {
                *error += value * deviation;
            }
        }
        Expectation::new(sum, &errors)
    }
}

impl Expectation {
    fn new(value: f64, deviations: &[f64]) -> Self {
        let variance = if deviations.is_empty() { Some(0.0) } else { covariance(deviations, deviations) };
        Self { value, standard_error: variance.map(f64::sqrt) }
    }
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
    use super::*;

    fn exact(log_likelihood: f64) -> Score {
        Score::exact(log_likelihood, 1, 1)
    }

    fn probabilities(scores: &[Score]) -> Vec<Expectation> {
        OptionDistribution::from_scores(scores).probabilities()
    }

    #[test]
    fn probabilities_are_the_softmax_of_log_likelihoods() {
        let scores = [0.2_f64, 0.1, 0.1].map(|likelihood| exact(likelihood.ln()));
        for (found, expected) in probabilities(&scores).iter().zip([0.5, 0.25, 0.25]) {
            assert!((found.value - expected).abs() < 1e-12 && found.standard_error == Some(0.0));
        }
        // Sentences of a thousand nats do not underflow.
        assert_eq!(probabilities(&[exact(-2000.0), exact(-2000.0)])[0].value, 0.5);
    }

    #[test]
    fn what_errors_have_in_common_cancels() {
        let with = |deviations: &[f64]| Score { deviations: deviations.to_vec(), ..exact(-1.0) };
        let [a, b] = [with(&[0.1, -0.1]), with(&[0.1, -0.1])];
        assert_eq!(probabilities(&[a.clone(), b])[0].standard_error, Some(0.0));
        // Against an exact option p (1 - p) = 1/4 of the error is left, and its standard deviation is 0.1 * 2.
        let error = probabilities(&[a, exact(-1.0)])[0].standard_error.unwrap();
        assert!((error - 0.25 * 0.2).abs() < 1e-12, "{error}");
        assert_eq!(probabilities(&[with(&[0.0]), exact(-1.0)])[0].standard_error, None);
    }

    #[test]
    fn expected_values_have_the_errors_of_the_probabilities_together() {
        let with = |deviations: &[f64]| Score { deviations: deviations.to_vec(), ..exact(-1.0) };
        let found = OptionDistribution::from_scores(&[with(&[0.1, -0.1]), exact(-1.0)]);
        // Twice the second probability and once the first: 1 + p, so the error is that of p.
        let mean = found.expectation(&[1.0, 2.0]);
        assert!((mean.value - 1.5).abs() < 1e-12);
        assert!((mean.standard_error.unwrap() - 0.05).abs() < 1e-12);
        assert_eq!(found.expectation(&[3.0, 3.0]).standard_error.map(|error| error < 1e-12), Some(true));
    }
}
