//! Monte Carlo estimates of the log-likelihood of an answer given its prompt.
//!
//! There are two estimators of the same lower bound $\mathcal{L}(x_0) \le \log p_\theta(x_0)$. Both
//! mask a part of an answer of $L$ tokens at random:
//!
//! * **Independent masks** (equation 3 of the LLaDA paper): each token is masked with probability
//!   $t$, where $t$ is uniform in $(0, 1)$:
//!   $$\mathbb{E}\_{t, x\_t} \left\[ \frac{1}{t} \sum_i \mathbf{1}\[x_t^i = M\] \log p_\theta(x_0^i \mid x_t) \right\]$$
//! * **Stratified counts** (equation 6): exactly $\ell$ tokens are masked, where $\ell$ is uniform in
//!   $1..L$. The variance is far lower, so evaluation uses this estimator, stratified as in
//!   `get_log_likelihood.py`:
//!   $$\mathbb{E}\_{\ell, x\_\ell} \left\[ \frac{L}{\ell} \sum_i \mathbf{1}\[x_\ell^i = M\] \log p_\theta(x_0^i \mid x_\ell) \right\]$$
//!
//! A [`MaskingPlan`] lists the tokens to mask in each sample. The caller computes the log-probability
//! of the masked tokens with a model, and the plan turns these numbers into an [`Estimate`].
//!
//! ```
//! use llada_core::likelihood::{BATCH_SIZE, MC_NUM, MaskingPlan};
//! use llada_core::rng::Noise;
//!
//! let plan = MaskingPlan::stratified(10, MC_NUM, BATCH_SIZE, Noise::new(1234), 0)?;
//! // A model that gives every token the probability 1/2, whatever it sees.
//! let log_p_masked: Vec<f64> =
//!     plan.perturbations().iter().map(|p| p.masked.len() as f64 * 0.5_f64.ln()).collect();
//! let estimate = plan.estimate(&log_p_masked)?;
//! assert!((estimate.bits_per_token - 1.0).abs() < 1e-12);
//! # Ok::<(), llada_core::CoreError>(())
//! ```

use crate::CoreError;
use crate::rng::{Domain, Noise, Stream};
use serde::Serialize;

/// The number of samples that the paper's evaluation draws. An answer of one token needs only one:
/// there is only one way to mask it, and the stratified estimate is exact.
pub const MC_NUM: usize = 128;

/// The number of samples in a mini-batch of the stratified estimator, which spreads them evenly over
/// the possible numbers of masked tokens.
pub const BATCH_SIZE: usize = 16;

/// One sample: a choice of the answer's tokens to mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Perturbation {
    /// The masked positions, counted from the start of the answer, in ascending order.
    pub masked: Vec<usize>,
    /// The divisor of the log-probability of the masked tokens: $t$ (independent masks) or
    /// $\ell / L$ (stratified counts).
    pub mask_ratio: f64,
}

/// The samples of one estimate.
#[derive(Clone, Debug)]
pub struct MaskingPlan {
    answer_length: usize,
    batch_size: usize,
    perturbations: Vec<Perturbation>,
}

/// An estimate of $\log p_\theta(\text{answer} \mid \text{prompt})$.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The lower bound of the log-likelihood, in nats.
    pub log_likelihood: f64,
    /// The standard error of `log_likelihood`, in nats; `None` if there is only one sample.
    ///
    /// It is computed from the means of the mini-batches. If there is only one mini-batch, it is
    /// computed from its samples as if they were independent. Since they are stratified, this
    /// overestimates the error.
    pub standard_error: Option<f64>,
    /// The negative log-likelihood per token of the answer, in nats.
    pub nats_per_token: f64,
    /// The negative log-likelihood per token of the answer, in bits.
    pub bits_per_token: f64,
}

impl Estimate {
    /// Creates the score of an answer of `answer_length` tokens whose log-likelihood, in nats, is no estimate.
    pub fn exact(log_likelihood: f64, answer_length: usize) -> Self {
        let nats_per_token = -log_likelihood / answer_length as f64;
        Self {
            log_likelihood,
            standard_error: Some(0.0),
            nats_per_token,
            bits_per_token: nats_per_token / std::f64::consts::LN_2,
        }
    }
}

impl MaskingPlan {
    /// Plans `mc_num` samples with independent masks. `sample` keys the noise, so that answers which
    /// share a seed are masked differently.
    ///
    /// # Errors
    /// If `answer_length` or `mc_num` is zero.
    pub fn independent(answer_length: usize, mc_num: usize, noise: Noise, sample: u64) -> Result<Self, CoreError> {
        CoreError::check_positive("answer_length", answer_length)?;
        CoreError::check_positive("mc_num", mc_num)?;
        let mut perturbations = Vec::with_capacity(mc_num);
        for i in 0..mc_num as u32 {
            let t = noise.domain(Domain::Time).stream(sample, i, 0).uniform();
            let mask = noise.domain(Domain::Mask).stream(sample, i, 0);
            let masked = (0..answer_length).filter(|&position| mask.at(position as u32) < t).collect();
            perturbations.push(Perturbation { masked, mask_ratio: t });
        }
        // The samples are independent, so each is a mini-batch of its own.
        Ok(Self { answer_length, batch_size: 1, perturbations })
    }

    /// Plans `mc_num` samples with stratified counts, in mini-batches of `batch_size`. If
    /// `batch_size` does not divide `mc_num`, the last mini-batch is smaller. `sample` keys the noise,
    /// so that answers which share a seed are masked differently.
    ///
    /// The numbers of masked tokens of a mini-batch of $b$ samples are $b$ points at equal distances
    /// $L / b$ on the circle $1..L$, from a uniform start. Halves are rounded up. The reference rounds
    /// them to even, which favours even numbers: a two-token answer would be masked entirely in 9 of
    /// 16 samples, and its estimate would be biased.
    ///
    /// # Errors
    /// If `answer_length`, `mc_num` or `batch_size` is zero.
    pub fn stratified(
        answer_length: usize,
        mc_num: usize,
        batch_size: usize,
        noise: Noise,
        sample: u64,
    ) -> Result<Self, CoreError> {
        CoreError::check_positive("answer_length", answer_length)?;
        CoreError::check_positive("mc_num", mc_num)?;
        CoreError::check_positive("batch_size", batch_size)?;
        let mut perturbations = Vec::with_capacity(mc_num);
        for (batch, start) in (0..mc_num).step_by(batch_size).enumerate() {
            let time = &mut noise.domain(Domain::Time).stream(sample, batch as u32, 0);
            let first = 1 + time.below(answer_length as u64) as usize;
            for masked in stratified_counts(first, batch_size.min(mc_num - start), answer_length) {
                let i = perturbations.len() as u32;
                perturbations.push(Perturbation {
                    masked: random_subset(masked, answer_length, noise.domain(Domain::Shuffle).stream(sample, i, 0)),
                    mask_ratio: masked as f64 / answer_length as f64,
                });
            }
        }
        Ok(Self { answer_length, batch_size, perturbations })
    }

    /// Returns the samples, in the order in which [`estimate`](Self::estimate) expects their
    /// log-probabilities.
    pub fn perturbations(&self) -> &[Perturbation] {
        &self.perturbations
    }

    /// Computes the estimate. `log_p_masked` has, for each perturbation, the sum of $\log p_\theta$
    /// over its masked tokens, in nats.
    ///
    /// # Errors
    /// If `log_p_masked` does not have one entry per perturbation.
    pub fn estimate(&self, log_p_masked: &[f64]) -> Result<Estimate, CoreError> {
        let log_likelihood = mean(&self.samples(log_p_masked)?);
        let deviations = self.deviations(log_p_masked)?;
        let nats_per_token = -log_likelihood / self.answer_length as f64;
        Ok(Estimate {
            log_likelihood,
            standard_error: covariance(&deviations, &deviations).map(f64::sqrt),
            nats_per_token,
            bits_per_token: nats_per_token / std::f64::consts::LN_2,
        })
    }

    /// Computes what each independent part of the samples contributes to the error of the [`estimate`](Self::estimate):
    /// the distance of its mean from the estimate, times its share of the samples. A part is a mini-batch, or a sample if
    /// there is only one mini-batch. [`covariance`] makes the errors of estimates of them.
    ///
    /// # Errors
    /// If `log_p_masked` does not have one entry per perturbation.
    pub fn deviations(&self, log_p_masked: &[f64]) -> Result<Vec<f64>, CoreError> {
        let samples = self.samples(log_p_masked)?;
        let estimate = mean(&samples);
        // Mini-batches are independent of each other; the samples within one are not.
        let size = if samples.len() > self.batch_size { self.batch_size } else { 1 };
        let mut deviations = Vec::with_capacity(samples.len().div_ceil(size));
        for part in samples.chunks(size) {
            // The last part may be smaller and then weighs less.
            deviations.push((mean(part) - estimate) * part.len() as f64 / samples.len() as f64);
        }
        Ok(deviations)
    }

    /// Returns the terms whose mean is the estimate.
    fn samples(&self, log_p_masked: &[f64]) -> Result<Vec<f64>, CoreError> {
        CoreError::check_length("log_p_masked", log_p_masked.len(), self.perturbations.len())?;
        let terms = log_p_masked.iter().zip(&self.perturbations);
        Ok(terms.map(|(log_p, perturbation)| log_p / perturbation.mask_ratio).collect())
    }
}

/// Returns the covariance of the errors of two estimates with these [`deviations`](MaskingPlan::deviations), or `None` if
/// there are fewer than two of them.
///
/// The estimates must have been drawn from the same noise, so that part for part they were masked together.
pub fn covariance(deviations: &[f64], others: &[f64]) -> Option<f64> {
    let count = deviations.len().min(others.len()) as f64;
    let products: f64 = deviations.iter().zip(others).map(|(a, b)| a * b).sum();
    (count > 1.0).then_some(products * count / (count - 1.0))
}

/// Returns `round(linspace(first, first + (batch - 1) * length / batch, batch))`, wrapped into
/// `1..=length`.
fn stratified_counts(first: usize, batch: usize, length: usize) -> impl Iterator<Item = usize> {
    // In integers, round(i * length / batch) with halves up is floor((2 * i * length + batch) / (2 * batch)).
    (0..batch).map(move |i| (first + (2 * i * length + batch) / (2 * batch) - 1) % length + 1)
}

/// Draws `count` of `0..length` in ascending order. All subsets are equally probable.
pub(crate) fn random_subset(count: usize, length: usize, mut stream: Stream) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..length).collect();
    // A Fisher-Yates shuffle that stops once the first `count` places are drawn.
    for i in 0..count {
        positions.swap(i, i + stream.below((length - i) as u64) as usize);
    }
    positions.truncate(count);
    positions.sort_unstable();
    positions
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(first: usize, batch: usize, length: usize) -> Vec<usize> {
        stratified_counts(first, batch, length).collect()
    }

    #[test]
    fn counts_are_the_references_but_for_halves() {
        assert_eq!(counts(3, 4, 4), [3, 4, 1, 2]);
        assert_eq!(counts(9, 4, 11), [9, 1, 4, 6]); // 9, 11.75, 14.5, 17.25
        assert_eq!(counts(1, 4, 1), [1; 4]);
    }

    #[test]
    fn counts_are_uniform() {
        for (batch, length) in [(16, 2), (16, 4), (16, 7), (5, 12)] {
            let mut frequency = vec![0; length];
            (1..=length).flat_map(|first| counts(first, batch, length)).for_each(|x| frequency[x - 1] += 1);
            assert_eq!(frequency, vec![batch; length]);
        }
    }

    #[test]
    fn plans_mask_what_they_say() {
        let plan = MaskingPlan::stratified(11, 20, 16, Noise::new(7), 3).unwrap();
        assert_eq!(plan.perturbations().len(), 20);
        for perturbation in plan.perturbations() {
            assert!(perturbation.masked.is_sorted_by(|a, b| a < b));
            assert!(perturbation.masked.iter().all(|&position| position < 11));
            assert_eq!(perturbation.mask_ratio, perturbation.masked.len() as f64 / 11.0);
        }
    }

    #[test]
    fn estimates_fold_given_numbers() {
        let plan = |ratios: &[f64], batch_size| MaskingPlan {
            answer_length: 4,
            batch_size,
            perturbations: ratios.iter().map(|&mask_ratio| Perturbation { masked: vec![], mask_ratio }).collect(),
        };
        // Samples -2, -4 | -6, -8 | -10.
        let five = plan(&[0.5, 0.25, 0.5, 0.25, 0.5], 2);
        let estimate = five.estimate(&[-1.0, -1.0, -3.0, -2.0, -5.0]).unwrap();
        assert_eq!(estimate.log_likelihood, -6.0);
        assert_eq!(estimate.nats_per_token, 1.5);
        // Means -3, -7, -10 weigh 2, 2, 1 fifths: (36 + 4 + 16) / 25 * 3 / 2.
        let error = estimate.standard_error.unwrap();
        assert!((error - 3.36_f64.sqrt()).abs() < 1e-12);

        // One mini-batch falls back to its samples: -2, -4 vary by 1 about their mean.
        assert_eq!(plan(&[0.5, 0.25], 2).estimate(&[-1.0, -1.0]).unwrap().standard_error, Some(1.0));
        assert_eq!(plan(&[1.0], 16).estimate(&[-1.0]).unwrap().standard_error, None);

        // Errors of estimates that rise together and fall together cancel in the difference.
        let deviations = five.deviations(&[-1.0, -1.0, -3.0, -2.0, -5.0]).unwrap();
        for (found, expected) in deviations.iter().zip([1.2, -0.4, -0.8]) {
            assert!((found - expected).abs() < 1e-12);
        }
        let opposite: Vec<f64> = deviations.iter().map(|deviation| -deviation).collect();
        assert!((covariance(&deviations, &opposite).unwrap() + 3.36).abs() < 1e-12);
        assert_eq!(covariance(&deviations, &[]), None);
        assert!(plan(&[1.0], 16).estimate(&[]).is_err());
    }

    #[test]
    fn an_empty_answer_has_no_likelihood() {
        let error = MaskingPlan::stratified(0, 1, 1, Noise::new(0), 0).unwrap_err();
        assert_eq!(error, CoreError::Zero { name: "answer_length" });
        assert!(MaskingPlan::independent(0, 1, Noise::new(0), 0).is_err());
    }
}
