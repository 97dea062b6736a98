//! The choice of a token from a row of logits, and the probability of a token.
//!
//! Ties go to the lowest id. An id with a logit of −∞ is banned, and NaN is never picked. One thread
//! processes a row, so the result does not depend on the number of threads.
//!
//! ```
//! use llada_core::rng::{Domain, Noise};
//! use llada_core::sampling::{argmax, gumbel_max, softmax_at};
//!
//! let logits = [0.0, 2.0, 1.0, f32::NEG_INFINITY];
//! assert_eq!(argmax(&logits), 1);
//! assert!((softmax_at(&logits, 1) - 0.6652).abs() < 1e-4);
//!
//! let noise = Noise::new(0).domain(Domain::Token).stream(0, 0, 0);
//! assert_eq!(gumbel_max(&logits, 0.0, &noise), 1);
//! assert!(gumbel_max(&logits, 1.0, &noise) < 3);
//! ```

use crate::rng::Stream;
use crate::simd;

/// Returns the id of the largest logit; 0 if none is above −∞.
pub fn argmax(logits: &[f32]) -> u32 {
    // Small enough that the winning block is still in the first-level cache when it is searched.
    const BLOCK: usize = 1024;
    let (mut best, mut first) = (f32::NEG_INFINITY, 0);
    for (block, row) in logits.chunks(BLOCK).enumerate() {
        let max = simd::max(row);
        if max > best {
            (best, first) = (max, block * BLOCK);
        }
    }
    let offset = logits[first..].iter().position(|&logit| logit == best).unwrap_or(0);
    (first + offset) as u32
}

/// Returns the probability $\mathrm{softmax}(\text{logits})_{\text{index}}$.
///
/// It is 0 for an `index` outside of the row, and NaN if no logit is finite.
pub fn softmax_at(logits: &[f32], index: u32) -> f32 {
    log_softmax_at(logits, index).exp() as f32
}

/// Returns the log-probability $\ln \mathrm{softmax}(\text{logits})_{\text{index}}$, in nats.
///
/// It is −∞ for an `index` outside of the row, and NaN if no logit is finite.
pub fn log_softmax_at(logits: &[f32], index: u32) -> f64 {
    let Some(&logit) = logits.get(index as usize) else {
        return f64::NEG_INFINITY;
    };
    let max = simd::max(logits);
    let sum = simd::sum(logits, |x| simd::exp(x - max));
    f64::from(logit) - f64::from(max) - sum.ln()
}

/// Returns $\ln \sum_v e^{\text{logits}_v / T}$; −∞ for an empty row, and NaN if a logit is NaN or the largest is not
/// finite.
///
/// Short rows are summed in `f64`, long ones in `f32` with a relative error of the sum below $10^{-6}$.
pub fn log_sum_exp(logits: &[f32], temperature: f64) -> f64 {
    const SHORT: usize = 64;
    if logits.is_empty() {
        return f64::NEG_INFINITY;
    }
    let max = simd::max(logits);
    let scale = temperature.recip();
    let sum = if logits.len() <= SHORT {
        logits.iter().map(|&x| ((f64::from(x) - f64::from(max)) * scale).exp()).sum()
    } else {
        simd::sum(logits, |x| simd::exp((x - max) * scale as f32))
    };
    f64::from(max) * scale + sum.ln()
}

/// Returns the largest $\text{logits}_i - T \ln(-\ln U_v)$ with $v = \text{ids}_i$ and $U_v$ = `noise.at(v)`, and its
/// index i; ties go to the lowest. It is [`gumbel_max`] over some of the ids only. −∞ and 0 if there are none.
///
/// # Shapes
/// `logits`, `ids`: one per candidate.
pub fn gumbel_max_among(logits: &[f32], ids: &[u32], temperature: f64, noise: &Stream) -> (f64, usize) {
    let top = argmax(logits) as usize;
    let (Some(&largest), Some(&id)) = (logits.get(top), ids.get(top)) else {
        return (f64::NEG_INFINITY, 0);
    };
    if temperature <= 0.0 {
        return (largest.into(), top);
    }
    // As in `gumbel_max`: bounds on the noise show that most cannot win.
    let highest = temperature * gumbel_bound(LARGEST_UNIFORM);
    let mut winner = (perturbed(largest, noise.at(id), temperature), top);
    for (index, (&logit, &id)) in logits.iter().zip(ids).enumerate() {
        if f64::from(logit) + highest < winner.0 {
            continue;
        }
        let uniform = noise.at(id);
        if f64::from(logit) + temperature * gumbel_bound(uniform) < winner.0 {
            continue;
        }
        let score = perturbed(logit, uniform, temperature);
        if score > winner.0 || (score == winner.0 && index < winner.1) {
            winner = (score, index);
        }
    }
    winner
}

/// Returns $\text{logit} - T \ln(-\ln U)$.
fn perturbed(logit: f32, uniform: f64, temperature: f64) -> f64 {
    f64::from(logit) - temperature * (-uniform.ln()).ln()
}

/// Samples from $\mathrm{softmax}(\text{logits} / T)$ by the Gumbel-max trick: returns the id that
/// maximises $\text{logits}_v - T \ln(-\ln U_v)$, where $U_v$ = `noise.at(v)`. At temperature 0 it
/// is the [`argmax`].
///
/// The score is the logarithm of the reference's `add_gumbel_noise`. It is computed in `f64` too, but
/// cannot overflow.
pub fn gumbel_max(logits: &[f32], temperature: f64, noise: &Stream) -> u32 {
    let top = argmax(logits);
    if temperature <= 0.0 || logits.is_empty() {
        return top;
    }
    // Most ids cannot win, and upper bounds on their noise show it: `highest` before the noise is
    // drawn, `bound` before its logarithms are taken. Every operation rounds monotonically, so an
    // upper bound on the noise is also one on the computed score, and the result is exact.
    let bound = |uniform: f64| temperature * gumbel_bound(uniform);
    let highest = bound(LARGEST_UNIFORM);
    let better_of = |(best, pick): (f64, u32), id: u32, uniform: f64| {
        let logit = logits[id as usize];
        if f64::from(logit) + bound(uniform) < best {
            return (best, pick);
        }
        let score = perturbed(logit, uniform, temperature);
        if score > best || (score == best && id < pick) { (score, id) } else { (best, pick) }
    };

    let mut winner = (perturbed(logits[top as usize], noise.at(top), temperature), top);
    let (pairs, last) = logits.as_chunks::<2>();
    for (i, pair) in (0..).zip(pairs) {
        if pair.iter().any(|&logit| f64::from(logit) + highest >= winner.0) {
            let [first, second] = noise.pair(i);
            winner = better_of(winner, 2 * i, first);
            winner = better_of(winner, 2 * i + 1, second);
        }
    }
    if !last.is_empty() {
        let id = 2 * pairs.len() as u32;
        winner = better_of(winner, id, noise.at(id));
    }
    winner.1
}

/// The largest uniform number that noise can have.
const LARGEST_UNIFORM: f64 = 1.0 - 1.0 / (1_u64 << 53) as f64;

/// Returns an upper bound of $-\ln(-\ln U)$ without computing a logarithm. Since $-\ln U \ge 1 - U$,
/// it is at most $-\ln(1 - U)$, which is at most $k \ln 2$ if $1 - U \ge 2^{-k}$. The exponent of
/// $1 - U$, which is exact in `f64`, gives $k$.
fn gumbel_bound(uniform: f64) -> f64 {
    const ROUNDING: f64 = 1e-9;
    let k = 1023 - ((1.0 - uniform).to_bits() >> 52) as i32;
    f64::from(k) * std::f64::consts::LN_2 + ROUNDING
}

/// Writes the reference's table into `out`: $e^{\text{logits}} / (-\ln U)^T$, or the logits themselves
/// at temperature 0. The index of the largest entry is the sample. `out` is cleared first.
///
/// This is for comparison with the reference only. [`gumbel_max`] picks the same entry and does not
/// overflow.
///
/// # Shapes
/// `logits`, `uniform`, `out`: one per id.
pub fn add_gumbel_noise(logits: &[f32], uniform: &[f64], temperature: f64, out: &mut Vec<f64>) {
    out.clear();
    for (&logit, u) in logits.iter().zip(uniform) {
        let logit = f64::from(logit);
        out.push(if temperature == 0.0 { logit } else { logit.exp() / (-u.ln()).powf(temperature) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Noise;

    fn random_row(seed: u64, length: u32, spread: f32) -> Vec<f32> {
        let stream = Noise::new(seed).stream(0, 0, 0);
        (0..length).map(|v| spread * stream.at(v) as f32).collect()
    }

    #[test]
    fn argmax_takes_the_first_of_equals() {
        let mut row = vec![0.0; 5000];
        row[2100] = 1.0;
        row[2101] = 1.0;
        row[4000] = 1.0;
        row[5] = f32::NAN;
        assert_eq!(argmax(&row), 2100);
        assert_eq!(argmax(&[]), 0);
        assert_eq!(argmax(&[f32::NEG_INFINITY; 3]), 0);
    }

    #[test]
    fn softmax_matches_double_precision() {
        let row = random_row(1, 40_001, 30.0);
        let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        for index in [0, 1, 17, 40_000, argmax(&row)] {
            let exact = f64::from(row[index as usize]).exp() / sum;
            let error = (f64::from(softmax_at(&row, index)) - exact).abs() / exact;
            assert!(error < 1e-6, "{error:e}");
        }
        assert_eq!(softmax_at(&row, 40_001), 0.0);
    }

    #[test]
    fn sums_of_long_and_short_rows_agree_with_the_definition() {
        for (length, tolerance) in [(1, 1e-12), (7, 1e-12), (64, 1e-12), (5000, 1e-6)] {
            let row = random_row(2, length, 20.0);
            for temperature in [0.5, 1.0, 2.0] {
                let exact = row.iter().map(|&x| (f64::from(x) / temperature).exp()).sum::<f64>().ln();
                assert!((log_sum_exp(&row, temperature) - exact).abs() < tolerance, "{length} at {temperature}");
            }
        }
        assert_eq!(log_sum_exp(&[], 1.0), f64::NEG_INFINITY);
        assert!(log_sum_exp(&[f32::NAN, 0.0], 1.0).is_nan() && log_sum_exp(&[f32::INFINITY], 1.0).is_nan());
    }

    /// Over all ids it is the sample of the whole row; over some, that of the row without the others.
    #[test]
    fn candidates_win_as_in_the_row() {
        for seed in 0..200 {
            let row = random_row(seed, 300, [1.0, 10.0][seed as usize % 2]);
            let noise = Noise::new(seed).stream(1, 2, 3);
            for temperature in [0.0, 0.5, 2.0] {
                let ids: Vec<u32> = (0..300).filter(|id| (u64::from(*id) * 7 + seed) % 5 < 2).collect();
                let logits: Vec<f32> = ids.iter().map(|&id| row[id as usize]).collect();
                let mut others_banned = vec![f32::NEG_INFINITY; 300];
                ids.iter().for_each(|&id| others_banned[id as usize] = row[id as usize]);
                let (_, index) = gumbel_max_among(&logits, &ids, temperature, &noise);
                assert_eq!(ids[index], gumbel_max(&others_banned, temperature, &noise));
            }
        }
        assert_eq!(gumbel_max_among(&[], &[], 1.0, &Noise::new(0).stream(0, 0, 0)), (f64::NEG_INFINITY, 0));
    }

    /// The skipped ids never matter: every pick is that of the definition.
    #[test]
    fn gumbel_max_is_exact() {
        for seed in 0..400 {
            let mut row = random_row(seed, 1 + (seed as u32 * 7) % 300, [0.0, 1.0, 10.0, 100.0][seed as usize % 4]);
            row[seed as usize % 300 % (1 + seed as usize * 7 % 300)] = f32::NEG_INFINITY;
            let noise = Noise::new(seed).stream(1, 2, 3);
            for temperature in [0.1, 0.5, 1.0, 3.0] {
                let mut naive = (f64::NEG_INFINITY, 0);
                for (v, &logit) in (0..).zip(&row) {
                    let score = f64::from(logit) - temperature * (-noise.at(v).ln()).ln();
                    if score > naive.0 {
                        naive = (score, v);
                    }
                }
                assert_eq!(gumbel_max(&row, temperature, &noise), naive.1);
            }
        }
    }

    #[test]
    fn gumbel_bound_holds_at_the_edges() {
        for exponent in 1..=53 {
            for uniform in [1.0 - 0.5_f64.powi(exponent), 0.5_f64.powi(exponent)] {
                assert!(gumbel_bound(uniform) >= -(-uniform.ln()).ln());
            }
        }
    }
}
