//! Preference optimisation: losses of the margin between a preferred and a rejected answer, with likelihoods estimated by
//! the bound of [`likelihood`](crate::likelihood) (VRPO of [LLaDA 1.5](https://arxiv.org/abs/2505.19223)).
//!
//! With the estimate $\hat B$ of an answer's log-likelihood under the policy and under a fixed reference, the margin of a
//! pair of a chosen answer $y_w$ and a rejected one $y_l$ is
//! $$s = \beta \left\[ (\hat B_\theta(y_w) - \hat B_{\text{ref}}(y_w)) - (\hat B_\theta(y_l) - \hat B_{\text{ref}}(y_l)) \right\].$$
//! Policy and reference are estimated under the same masks, so that $s$ is exactly 0 as long as they are the same model.
//!
//! The gradient of a loss of $s$ is that of a weighted sum of cross-entropies: [`PreferenceLoss::slope`] times the weight
//! of the token in the estimate ([`bound_weights`]) times $\beta$, with the sign of the answer.
//!
//! ```
//! use llada_core::preference::PreferenceLoss;
//!
//! let loss = PreferenceLoss::Sigmoid { label_smoothing: 0.0 };
//! assert_eq!(loss.value(0.0, 0.2), 2.0_f64.ln());
//! assert_eq!(loss.slope(0.0, 0.2), -0.5);
//! ```

use crate::likelihood::MaskingPlan;

/// A loss of a pair's margin.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum PreferenceLoss {
    /// $-(1 - \epsilon) \log \sigma(s) - \epsilon \log \sigma(-s)$: DPO
    /// ([Rafailov et al., 2023](https://arxiv.org/abs/2305.18290)), and with label smoothing conservative DPO.
    Sigmoid {
        /// The probability $\epsilon$ that a label is wrong.
        label_smoothing: f64,
    },
    /// $\max(0, 1 - s)$ ([Zhao et al., 2023](https://arxiv.org/abs/2305.10425)).
    Hinge,
    /// $(s / \beta - 1 / (2 \beta))^2$ ([Azar et al., 2023](https://arxiv.org/abs/2310.12036)), of the difference of whole
    /// answers, not of its mean per token.
    Ipo,
}

impl PreferenceLoss {
    /// Returns the loss of the margin `s`, which has the factor `beta`.
    pub fn value(self, s: f64, beta: f64) -> f64 {
        match self {
            Self::Sigmoid { label_smoothing } => (1.0 - label_smoothing) * softplus(-s) + label_smoothing * softplus(s),
            Self::Hinge => (1.0 - s).max(0.0),
            Self::Ipo => ipo(s, beta).powi(2),
        }
    }

    /// Returns the derivative of the loss by the margin.
    pub fn slope(self, s: f64, beta: f64) -> f64 {
        match self {
            Self::Sigmoid { label_smoothing } => label_smoothing - sigmoid(-s),
            Self::Hinge if s < 1.0 => -1.0,
            Self::Hinge => 0.0,
            Self::Ipo => 2.0 * ipo(s, beta) / beta,
        }
    }
}

/// Returns what the log-probability of a masked token weighs in the estimate of `plan`, one number per sample: the mean
/// over the samples of the sum over masked tokens, each divided by its sample's mask ratio.
///
/// # Shapes
/// The result: one per perturbation.
pub fn bound_weights(plan: &MaskingPlan) -> Vec<f64> {
    let samples = plan.perturbations();
    samples.iter().map(|sample| 1.0 / (sample.mask_ratio * samples.len() as f64)).collect()
}

fn ipo(s: f64, beta: f64) -> f64 {
    s / beta - 1.0 / (2.0 * beta)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Returns $\log(1 + e^x)$ without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOSSES: [PreferenceLoss; 4] = [
        PreferenceLoss::Sigmoid { label_smoothing: 0.0 },
        PreferenceLoss::Sigmoid { label_smoothing: 0.1 },
        PreferenceLoss::Hinge,
        PreferenceLoss::Ipo,
    ];

    #[test]
    fn a_slope_is_the_difference_quotient() {
        for loss in LOSSES {
            for s in [-700.0, -3.0, -0.1, 0.2, 0.9, 1.1, 30.0] {
                let (beta, h) = (0.2, 1e-6);
                let quotient = (loss.value(s + h, beta) - loss.value(s - h, beta)) / (2.0 * h);
                let slope = loss.slope(s, beta);
                assert!((quotient - slope).abs() < 1e-4 * slope.abs().max(1.0), "{loss:?} {s}: {quotient} {slope}");
            }
        }
    }

    #[test]
    fn no_margin_overflows() {
        for loss in LOSSES {
            for s in [-1e6, 1e6] {
                assert!(loss.value(s, 0.1).is_finite() && loss.slope(s, 0.1).is_finite(), "{loss:?} {s}");
            }
        }
    }
}
