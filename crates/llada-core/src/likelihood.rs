//! Monte Carlo estimates of an answer's log-likelihood given its prompt.
//!
//! Both estimate the same lower bound $\mathcal{L}(x_0) \le \log p_\theta(x_0)$ from answers that
//! are partly masked, $L$ tokens long:
//!
//! * **Form A** (equation 3 of the LLaDA paper) masks each token with probability $t$, $t$ uniform:
//!   $$\mathbb{E}\_{t, x\_t} \left\[ \frac{1}{t} \sum_i \mathbf{1}\[x_t^i = M\] \log p_\theta(x_0^i \mid x_t) \right\]$$
//! * **Form B** (equation 6) masks exactly $\ell$ tokens, $\ell$ uniform in $1..L$. It varies far
//!   less, so evaluation uses it, stratified as in `get_log_likelihood.py`:
//!   $$\mathbb{E}\_{\ell, x\_\ell} \left\[ \frac{L}{\ell} \sum_i \mathbf{1}\[x_\ell^i = M\] \log p_\theta(x_0^i \mid x_\ell) \right\]$$
//!
//! A [`MaskingPlan`] says what to mask; the model tells the log-probability of what was masked; the plan
//! makes an [`Estimate`] of it.
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
use crate::rng::{Domain, Noise};
use serde::Serialize;

/// How many samples the paper's evaluation draws. A single-token answer needs but one: form B is
/// then exact.
pub const MC_NUM: usize = 128;

/// How many of them form B draws together, evenly spread over the numbers of masked tokens.
pub const BATCH_SIZE: usize = 16;

/// One way to mask the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Perturbation {
    /// The masked positions, counted from the start of the answer, in ascending order.
    pub masked: Vec<usize>,
    /// What the log-probability of the masked tokens is divided by: $t$ (form A) or $\ell / L$
    /// (form B).
    pub mask_ratio: f64,
}

/// The perturbations of one estimate.
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
    /// Its standard error, in nats; `None` for a lone sample, which tells nothing of how it varies.
    ///
    /// It is that of the mini-batches' means. A lone mini-batch gives that of its samples, as if
    /// they were independent: more than the truth, since they are stratified.
    pub standard_error: Option<f64>,
    /// The negative log-likelihood per token of the answer, in nats.
    pub nats_per_token: f64,
    /// The same in bits.
    pub bits_per_token: f64,
}

impl MaskingPlan {
    /// Form A: `mc_num` independent samples. `sample` tells apart the answers that share a seed.
    ///
    /// # Errors
    /// If `answer_length` or `mc_num` is zero.
    pub fn independent(answer_length: usize, mc_num: usize, noise: Noise, sample: u64) -> Result<Self, CoreError> {
        check_positive([("answer_length", answer_length), ("mc_num", mc_num)])?;
        let perturbation = |i| {
            let t = noise.domain(Domain::Time).stream(sample, i, 0).uniform();
            let mask = noise.domain(Domain::Mask).stream(sample, i, 0);
            let masked = (0..answer_length).filter(|&position| mask.at(position as u32) < t).collect();
            Perturbation { masked, mask_ratio: t }
        };
        let perturbations = (0..mc_num as u32).map(perturbation).collect();
        Ok(Self { answer_length, batch_size: 1, perturbations })
    }

    /// Form B: `mc_num` samples in mini-batches of `batch_size`; if it does not divide `mc_num`,
    /// the last is smaller. `sample` tells apart the answers that share a seed.
    ///
    /// The numbers of masked tokens of a mini-batch of $b$ are stratified: $b$ points at even
    /// distances $L / b$ on the circle $1..L$, from a uniform start. Halves round up. (To even, as in
    /// the reference, favours even numbers: a two-token answer would be masked entirely in 9 of 16
    /// samples, and its estimate biased.)
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
        check_positive([("answer_length", answer_length), ("mc_num", mc_num), ("batch_size", batch_size)])?;
        let mut perturbations = Vec::with_capacity(mc_num);
        for (batch, start) in (0..mc_num).step_by(batch_size).enumerate() {
            let time = &mut noise.domain(Domain::Time).stream(sample, batch as u32, 0);
            let first = 1 + time.below(answer_length as u64) as usize;
            for masked in stratified_counts(first, batch_size.min(mc_num - start), answer_length) {
                let i = perturbations.len() as u32;
                perturbations.push(Perturbation {
                    masked: random_subset(masked, answer_length, noise, sample, i),
                    mask_ratio: masked as f64 / answer_length as f64,
                });
            }
        }
        Ok(Self { answer_length, batch_size, perturbations })
    }

    /// What to mask, one sample after the other.
    pub fn perturbations(&self) -> &[Perturbation] {
        &self.perturbations
    }

    /// The estimate, from the sum of $\log p_\theta$ over each perturbation's masked tokens.
    ///
    /// # Errors
    /// If `log_p_masked` does not have one entry for each perturbation.
    pub fn estimate(&self, log_p_masked: &[f64]) -> Result<Estimate, CoreError> {
        CoreError::check_length("log_p_masked", log_p_masked.len(), self.perturbations.len())?;
        let samples: Vec<f64> =
            log_p_masked.iter().zip(&self.perturbations).map(|(log_p, p)| log_p / p.mask_ratio).collect();
        let log_likelihood = mean(&samples);
        let independent = if samples.len() > self.batch_size { self.batch_size } else { 1 };
        let nats_per_token = -log_likelihood / self.answer_length as f64;
        Ok(Estimate {
            log_likelihood,
            standard_error: standard_error(&samples, independent, log_likelihood),
            nats_per_token,
            bits_per_token: nats_per_token / std::f64::consts::LN_2,
        })
    }
}

fn check_positive<const N: usize>(settings: [(&'static str, usize); N]) -> Result<(), CoreError> {
    match settings.into_iter().find(|&(_, value)| value == 0) {
        Some((name, _)) => Err(CoreError::Zero { name }),
        None => Ok(()),
    }
}

/// `round(linspace(first, first + (batch - 1) * length / batch, batch))`, wrapped into
/// `1..=length`.
fn stratified_counts(first: usize, batch: usize, length: usize) -> impl Iterator<Item = usize> {
    (0..batch).map(move |i| (first + (2 * i * length + batch) / (2 * batch) - 1) % length + 1)
}

/// `count` of `0..length`, each subset equally probable, in ascending order.
fn random_subset(count: usize, length: usize, noise: Noise, sample: u64, step: u32) -> Vec<usize> {
    let mut stream = noise.domain(Domain::Shuffle).stream(sample, step, 0);
    let mut positions: Vec<usize> = (0..length).collect();
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

/// The standard error of the mean of groups of `size` samples that are independent of each other,
/// the last of which may be smaller and weighs less.
fn standard_error(samples: &[f64], size: usize, total_mean: f64) -> Option<f64> {
    let groups = samples.chunks(size);
    let count = groups.len() as f64;
    let deviation = |group: &[f64]| {
        let weight = group.len() as f64 / samples.len() as f64;
        (weight * (mean(group) - total_mean)).powi(2)
    };
    (count > 1.0).then(|| (groups.map(deviation).sum::<f64>() * count / (count - 1.0)).sqrt())
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
        assert!(plan(&[1.0], 16).estimate(&[]).is_err());
    }

    #[test]
    fn an_empty_answer_has_no_likelihood() {
        let error = MaskingPlan::stratified(0, 1, 1, Noise::new(0), 0).unwrap_err();
        assert_eq!(error, CoreError::Zero { name: "answer_length" });
        assert!(MaskingPlan::independent(0, 1, Noise::new(0), 0).is_err());
    }
}
