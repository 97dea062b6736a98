//! Accuracy under parallelism: the area under the curve of accuracy over tokens a forward, which no hardware moves.
//!
//! $\mathrm{AUP} = \rho_1 y_1 + \sum_{i>1} (\rho_i - \rho_{i-1}) (y_i W(y_i) + y_{i-1} W(y_{i-1})) / 2$ with
//! $W(y) = \min(e^{-3 (1 - y / y_{\max})}, 1)$, of the points whose accuracy is at most five points below the first's
//! (the AUP leaderboard of d3LLM).

const ALPHA: f64 = 3.0;
/// In points of a hundred.
const TOLERATED: f64 = 5.0;

/// The area of `points` (tokens a forward, accuracy in percent), the first of which is the sampler without parallelism;
/// `best` is the highest accuracy of all methods.
pub fn aup(points: &[(f64, f64)], best: f64) -> f64 {
    let weighted = |y: f64| y * (-ALPHA * (1.0 - y / best)).exp().min(1.0);
    let Some(&(first, accuracy)) = points.first() else { return 0.0 };
    let mut kept: Vec<_> = points.iter().copied().filter(|&(_, y)| y >= accuracy - TOLERATED).collect();
    kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    let area = |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0) * (weighted(pair[1].1) + weighted(pair[0].1)) / 2.0;
    first * accuracy + kept.windows(2).map(area).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_hand() {
        let check = |points: &[(f64, f64)], best, expected: f64| {
            let found = aup(points, best);
            assert!((found - expected).abs() < 0.01, "{found} is not {expected}");
        };
        check(&[(1.0, 72.55)], 74.4, 72.55);
        check(&[(1.0, 80.0), (3.0, 80.0)], 80.0, 240.0);
        // W(76 of 80) = e^-0.15.
        check(&[(1.0, 80.0), (3.0, 76.0)], 80.0, 80.0 + 80.0 + 76.0 * 0.860_708);
        check(&[(1.0, 80.0), (3.0, 74.0)], 80.0, 80.0);
        check(&[], 80.0, 0.0);
    }
}
