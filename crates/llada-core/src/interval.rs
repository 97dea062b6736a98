//! Confidence intervals of proportions.
//!
//! ```
//! let [low, high] = llada_core::interval::wilson(180, 200);
//! assert!((low - 0.8506).abs() < 1e-4 && (high - 0.9343).abs() < 1e-4);
//! ```

/// The number of standard deviations around the mean within which a normal variable lies with a probability of 95 %.
pub const Z: f64 = 1.959_963_984_540_054;

/// Returns the 95 % confidence interval of the proportion `right / total`
/// ([Wilson, 1927](https://doi.org/10.1080/01621459.1927.10502953)).
///
/// Unlike the normal approximation, it stays within \[0, 1\] and has a width greater than zero even if all or none are
/// right. For a `total` of 0 it is the interval of 0 out of 1.
pub fn wilson(right: usize, total: usize) -> [f64; 2] {
    let n = total.max(1) as f64;
    let p = right as f64 / n;
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    [centre - half, centre + half].map(|bound| (bound / (1.0 + Z * Z / n)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_intervals_are_the_textbooks() {
        for (right, total, low, high) in [
            (0, 10, 0.0, 0.2775),
            (10, 10, 0.7225, 1.0),
            (5, 10, 0.2366, 0.7634),
            (180, 200, 0.8506, 0.9343),
            (0, 0, 0.0, 0.7935),
        ] {
            let found = wilson(right, total);
            assert!((found[0] - low).abs() < 5e-5 && (found[1] - high).abs() < 5e-5, "{right}/{total}: {found:?}");
        }
    }
}
