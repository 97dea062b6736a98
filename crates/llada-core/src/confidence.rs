//! The confidence of a picked token, and the choice of the most confident positions (section 2.4 of
//! the LLaDA paper; margin and entropy as in [Dream](https://arxiv.org/abs/2508.15487)).
//!
//! The paper calls this *remasking*: of all tokens that a step predicts, only the most confident are
//! kept and the others stay masked.
//!
//! ```
//! use llada_core::confidence::{Remasking, top_k};
//!
//! let remasking: Remasking = "margin".parse()?;
//! let confidence = remasking.confidence(&[2.0, 0.0], 0, || 0.5);
//! assert!((confidence - 0.7616).abs() < 1e-4); // 0.8808 - 0.1192
//!
//! let mut chosen = Vec::new();
//! top_k(&[0.9, f32::NEG_INFINITY, 0.2, 0.9], 2, &mut chosen);
//! assert_eq!(chosen, [0, 3]);
//! # Ok::<(), llada_core::CoreError>(())
//! ```

use crate::{CoreError, sampling, simd};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The measure of the confidence in a prediction with the distribution
/// $p = \mathrm{softmax}(\text{logits})$. Larger values are more confident.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = CoreError, parse_err_fn = unknown)]
#[non_exhaustive]
pub enum Remasking {
    /// The probability of the picked token: $p_{\text{pick}}$.
    #[default]
    LowConfidence,
    /// A uniform random number.
    Random,
    /// The difference between the two largest probabilities: $p_{(1)} - p_{(2)}$.
    Margin,
    /// The negative entropy: $\sum_v p_v \ln p_v$.
    Entropy,
}

impl Remasking {
    /// Computes the confidence in `pick` from the logits of its position, without Gumbel noise.
    ///
    /// `uniform` draws a number in (0, 1). Only [`Random`](Self::Random) calls it.
    pub fn confidence(&self, logits: &[f32], pick: u32, uniform: impl FnOnce() -> f64) -> f32 {
        match self {
            Self::LowConfidence => sampling::softmax_at(logits, pick),
            Self::Random => uniform() as f32,
            Self::Margin => margin(logits),
            Self::Entropy => negative_entropy(logits),
        }
    }
}

fn unknown(name: &str) -> CoreError {
    CoreError::Remasking(name.to_owned())
}

fn margin(logits: &[f32]) -> f32 {
    let top = sampling::argmax(logits) as usize;
    let Some(&max) = logits.get(top) else {
        return 0.0;
    };
    let next = simd::max(&logits[..top]).max(simd::max(&logits[top + 1..]));
    let sum = simd::sum(logits, |x| simd::exp(x - max));
    ((1.0 - f64::from(next - max).exp()) / sum) as f32
}

/// With $d_v = \text{logits}_v - \max$ and $Z = \sum_v e^{d_v}$:
/// $\sum_v p_v \ln p_v = \sum_v d_v e^{d_v} / Z - \ln Z$.
fn negative_entropy(logits: &[f32]) -> f32 {
    // exp is already 0 here; a finite bound keeps 0 · ln 0 at 0 instead of NaN.
    const LOWEST: f32 = -100.0;
    let max = simd::max(logits);
    let z = simd::sum(logits, |x| simd::exp(x - max));
    let weighted = simd::sum(logits, |x| (x - max).max(LOWEST) * simd::exp(x - max));
    (weighted / z - z.ln()) as f32
}

/// Writes the indices of the `k` largest confidences into `chosen`, in ascending order. `chosen` is
/// cleared first; its allocation is reused.
///
/// Ties go to the lowest index. Entries that are −∞ or NaN are never chosen, so there may be fewer
/// than `k` indices.
pub fn top_k(confidence: &[f32], k: usize, chosen: &mut Vec<usize>) {
    chosen.clear();
    chosen.extend((0..confidence.len()).filter(|&i| confidence[i] > f32::NEG_INFINITY));
    if k < chosen.len() {
        // Not total_cmp, to which -0.0 and 0.0 are no tie. NaN has been filtered out above.
        chosen.select_nth_unstable_by(k, |&i, &j| {
            confidence[j].partial_cmp(&confidence[i]).unwrap_or(Ordering::Equal).then(i.cmp(&j))
        });
        chosen.truncate(k);
        chosen.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confidence(remasking: Remasking, logits: &[f32]) -> f32 {
        remasking.confidence(logits, sampling::argmax(logits), || 0.25)
    }

    #[test]
    fn names_round_trip() {
        for remasking in [Remasking::LowConfidence, Remasking::Random, Remasking::Margin, Remasking::Entropy] {
            assert_eq!(remasking.to_string().parse(), Ok(remasking));
            assert_eq!(serde_json::to_value(remasking).unwrap(), remasking.to_string());
        }
        let error = "low-confidence".parse::<Remasking>().unwrap_err();
        assert_eq!(error.to_string(), "unknown remasking \"low-confidence\"");
        assert_eq!(error.hint().unwrap().to_string(), "low_confidence, random, margin or entropy");
    }

    #[test]
    fn confidences_of_known_distributions() {
        let logits = [0.5_f32, 0.25, 0.25, 0.0].map(f32::ln);
        for (remasking, expected) in [
            (Remasking::LowConfidence, 0.5),
            (Remasking::Random, 0.25),
            (Remasking::Margin, 0.25),
            (Remasking::Entropy, -1.5 * std::f32::consts::LN_2),
        ] {
            assert!((confidence(remasking, &logits) - expected).abs() < 1e-6, "{remasking}");
        }
    }

    #[test]
    fn certainty_is_the_largest_confidence() {
        let certain = [f32::NEG_INFINITY, 3.0, f32::NEG_INFINITY];
        assert_eq!(confidence(Remasking::LowConfidence, &certain), 1.0);
        assert_eq!(confidence(Remasking::Margin, &certain), 1.0);
        assert_eq!(confidence(Remasking::Entropy, &certain), 0.0);
    }
}
