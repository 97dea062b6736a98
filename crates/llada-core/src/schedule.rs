//! Noise schedules: the fraction of a sequence that is still visible at time $t$, and the weight of
//! that time in the loss.
//!
//! LLaDA uses the linear schedule. The cosine schedule is that of
//! [dllm](https://github.com/ZHZisZZ/dllm); the log-linear schedule and the stratified times are
//! those of [MDLM](https://arxiv.org/abs/2406.07524).
//!
//! ```
//! use llada_core::schedule::{NoiseSchedule, stratified_t};
//!
//! for t in stratified_t(&[0.5, 0.5, 0.5, 0.5]) {
//!     assert_eq!(NoiseSchedule::Linear.mask_probability(t), t);
//!     assert!((NoiseSchedule::Linear.weight(t) - 1.0 / t).abs() < 1e-12);
//! }
//! ```

use crate::CoreError;
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// $\epsilon = 10^{-3}$, the smallest probability with which
/// [`forward_process`](crate::masking::forward_process) masks a token, and the fraction that the
/// log-linear schedule leaves visible at $t = 1$.
pub const EPS: f64 = 1e-3;

/// A schedule of the probability $\alpha_t$ that a token is still visible at time $t$. It falls from 1
/// at $t = 0$.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = CoreError, parse_err_fn = unknown)]
#[non_exhaustive]
pub enum NoiseSchedule {
    /// $\alpha_t = 1 - t$.
    #[default]
    Linear,
    /// $\alpha_t = 1 - \cos\left(\frac{\pi}{2}(1 - t)\right)$.
    Cosine,
    /// $\alpha_t = e^{-\sigma_t}$ with the total noise $\sigma_t = -\ln(1 - (1 - \epsilon)t)$.
    LogLinear,
}

impl NoiseSchedule {
    /// Returns $\alpha_t$, for $t \in \[0, 1\]$.
    pub fn alpha(self, t: f64) -> f64 {
        match self {
            Self::Linear => 1.0 - t,
            Self::Cosine => 1.0 - (FRAC_PI_2 * (1.0 - t)).cos(),
            Self::LogLinear => 1.0 - (1.0 - EPS) * t,
        }
    }

    /// Returns the derivative $\alpha'_t$, which is never positive.
    pub fn d_alpha(self, t: f64) -> f64 {
        match self {
            Self::Linear => -1.0,
            Self::Cosine => -FRAC_PI_2 * (FRAC_PI_2 * (1.0 - t)).sin(),
            Self::LogLinear => EPS - 1.0,
        }
    }

    /// Returns the probability $1 - \alpha_t$ that a token is masked.
    pub fn mask_probability(self, t: f64) -> f64 {
        1.0 - self.alpha(t)
    }

    /// Returns the weight of the masked tokens' cross-entropy in the bound,
    /// $-\alpha'_t / (1 - \alpha_t)$, for $t \in (0, 1\]$. It grows without limit as $t$ approaches
    /// 0. For the linear and the log-linear schedule it is $1 / t$. It is also the rate at which a mask
    /// becomes a token in the reverse process.
    pub fn weight(self, t: f64) -> f64 {
        -self.d_alpha(t) / self.mask_probability(t)
    }
}

fn unknown(name: &str) -> CoreError {
    CoreError::NoiseSchedule(name.to_owned())
}

/// Returns stratified times, one in each of $B$ equal parts of (0, 1): $t_b = (u_b + b) / B$.
///
/// The times of a batch cover all noise levels, which reduces the variance of the loss.
pub fn stratified_t(uniform: &[f64]) -> Vec<f64> {
    let batch = uniform.len() as f64;
    uniform.iter().enumerate().map(|(b, u)| (u + b as f64) / batch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_configuration() {
        for schedule in [NoiseSchedule::Linear, NoiseSchedule::Cosine, NoiseSchedule::LogLinear] {
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
            assert_eq!(serde_json::to_value(schedule).unwrap(), schedule.to_string());
        }
        let error = "quadratic".parse::<NoiseSchedule>().unwrap_err();
        assert_eq!(error.to_string(), "unknown noise_schedule \"quadratic\"");
        assert_eq!(error.hint().unwrap().to_string(), "linear, cosine or log_linear");
    }

    #[test]
    fn schedules_fall_from_one_and_d_alpha_is_their_slope() {
        for schedule in [NoiseSchedule::Linear, NoiseSchedule::Cosine, NoiseSchedule::LogLinear] {
            assert!((schedule.alpha(0.0) - 1.0).abs() < 1e-12);
            assert!((-1e-12..=EPS + 1e-12).contains(&schedule.alpha(1.0)));
            for t in (1..100).map(|i| f64::from(i) / 100.0) {
                let slope = (schedule.alpha(t + 1e-6) - schedule.alpha(t - 1e-6)) / 2e-6;
                assert!((schedule.d_alpha(t) - slope).abs() < 1e-8, "{schedule:?} at {t}");
            }
        }
    }

    #[test]
    fn the_log_linear_weight_is_one_over_t() {
        for t in [1e-3, 0.3, 1.0] {
            assert!((NoiseSchedule::LogLinear.weight(t) * t - 1.0).abs() < 1e-9);
        }
    }
}
