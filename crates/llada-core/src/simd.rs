//! Reductions over rows of logits, written so that the compiler vectorises them.
//!
//! A row of a real vocabulary has 32 000 to 130 000 entries, and every step reads one row for every
//! masked position. These loops are the main cost of sampling besides the model.
//!
//! Sixteen independent lanes let the compiler use any vector width that the target has. The lanes
//! are the same sixteen on every target, so the order of additions is fixed and the results are
//! identical everywhere.

const LANES: usize = 16;

/// The number of terms after which `f32` lanes are added to the `f64` sum. A lane adds only 32 terms
/// in between, which loses next to no precision.
const FLUSH: usize = 32 * LANES;

/// Returns the largest entry; −∞ for an empty row. NaN is ignored.
pub(crate) fn max(row: &[f32]) -> f32 {
    let (chunks, tail) = row.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, x);
        }
    }
    lanes.iter().chain(tail).fold(f32::NEG_INFINITY, |m, &x| larger(m, x))
}

/// Returns the larger of the two, or `m` if `x` is NaN.
fn larger(m: f32, x: f32) -> f32 {
    // Unlike f32::max, whose guarantees about NaN take several instructions, this compiles to one.
    if x > m { x } else { m }
}

/// Sums `term` over the row.
pub(crate) fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    row.chunks(FLUSH)
        .map(|part| {
            let (chunks, tail) = part.as_chunks::<LANES>();
            let mut lanes = [0.0; LANES];
            for chunk in chunks {
                for (lane, &x) in lanes.iter_mut().zip(chunk) {
                    *lane += term(x);
                }
            }
            let tail: f64 = tail.iter().map(|&x| f64::from(term(x))).sum();
            lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>() + tail
        })
        .sum()
}

/// Returns $e^x$ for $x \le 0$, with a relative error below 2·10⁻⁷; 0 below −86, where
/// $e^x < 10^{-37}$.
///
/// Without branches: $e^x = 2^n e^r$ with $n = \lfloor x / \ln 2 \rceil$ and $|r| \le \ln 2 / 2$, where
/// $e^r$ is a polynomial and $n$ is added to the exponent bits.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts. The first has few enough bits that its product with n is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    // Coefficients of Cephes' expf.
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    // The shift drops everything of `shifted` but n and moves it to the exponent.
    let scaled = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    if x < -86.0 { 0.0 } else { scaled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_precise() {
        for i in 0..=860_000 {
            let x = -(i as f32) * 1e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2e-7, "exp({x}) is off by {error:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e30), 0.0);
    }

    #[test]
    fn passes_cover_every_length() {
        for length in 0..70 {
            let row: Vec<f32> = (0..length).map(|i| (i * 37 % 64) as f32).collect();
            assert_eq!(max(&row), row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            assert_eq!(sum(&row, |x| x), row.iter().map(|&x| f64::from(x)).sum::<f64>());
        }
    }
}
