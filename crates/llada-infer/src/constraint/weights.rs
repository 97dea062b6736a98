//! Weights of classes and states, and their sums.
//!
//! Sums of products are computed twice as fast on the weights themselves as on their logarithms, but weights can be too
//! small for an `f64`. So each sum is computed in the first way and, where that has lost too much, once more in the second.

use super::{language::Language, reduce::ClassStats};

/// A weight with its logarithm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    pub(super) log: f64,
    pub(super) value: f64,
}

impl Weight {
    pub(super) const ZERO: Self = Self { log: f64::NEG_INFINITY, value: 0.0 };

    pub(super) fn new(log: f64) -> Self {
        Self { log, value: log.exp() }
    }
}

/// Returns the weights of a position's classes relative to the largest, and the logarithm of that.
pub(super) fn of_classes(classes: &[ClassStats], weight: fn(&ClassStats) -> f64) -> (Vec<Weight>, f64) {
    let mut logs: Vec<f64> = classes.iter().map(weight).collect();
    let shift = shift_to_zero(&mut logs);
    (logs.into_iter().map(Weight::new).collect(), shift)
}

/// Shifts logarithms so that the largest is 0, and returns by how much.
pub(super) fn shift_to_zero(logs: &mut [f64]) -> f64 {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest > f64::NEG_INFINITY {
        logs.iter_mut().for_each(|log| *log -= largest);
    }
    largest
}

/// The weights of all states, which are 0 outside of one front.
pub(super) struct ByState(Vec<Weight>);

impl ByState {
    pub(super) fn new(language: &Language) -> Self {
        Self(vec![Weight::ZERO; language.states()])
    }

    /// Sets the weights of a front's states. Those of another front must have been cleared.
    pub(super) fn set(&mut self, front: &[u32], logs: &[f64]) {
        for (&state, &log) in front.iter().zip(logs) {
            self.0[state as usize] = Weight::new(log);
        }
    }

    pub(super) fn clear(&mut self, front: &[u32]) {
        for &state in front {
            self.0[state as usize] = Weight::ZERO;
        }
    }

    pub(super) fn get(&self, state: u32) -> Weight {
        self.0[state as usize]
    }
}

/// A sum of products of two weights.
pub(super) trait Sum: Copy {
    const EMPTY: Self;

    fn add(&mut self, a: Weight, b: Weight);

    fn logarithm(self) -> f64;

    /// Returns true if the terms that were too small for an `f64` do not count.
    fn is_exact(self) -> bool;
}

impl Sum for f64 {
    const EMPTY: Self = 0.0;

    fn add(&mut self, a: Weight, b: Weight) {
        *self += a.value * b.value;
    }

    fn logarithm(self) -> f64 {
        self.ln()
    }

    fn is_exact(self) -> bool {
        self > 1e-250
    }
}

/// A sum that is kept as a logarithm.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogSum {
    max: f64,
    sum: f64,
}

impl LogSum {
    fn add_log(&mut self, term: f64) {
        let difference = term - self.max;
        if difference <= 0.0 {
            self.sum += difference.exp();
        } else if term > f64::NEG_INFINITY {
            *self = Self { max: term, sum: self.sum * (-difference).exp() + 1.0 };
        }
    }
}

impl Sum for LogSum {
    const EMPTY: Self = Self { max: f64::NEG_INFINITY, sum: 0.0 };

    fn add(&mut self, a: Weight, b: Weight) {
        self.add_log(a.log + b.log);
    }

    fn logarithm(self) -> f64 {
        self.max + self.sum.ln()
    }

    fn is_exact(self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum<S: Sum>(terms: &[(f64, f64)]) -> S {
        let mut sum = S::EMPTY;
        for &(a, b) in terms {
            sum.add(Weight::new(a), Weight::new(b));
        }
        sum
    }

    #[test]
    fn both_sums_agree_where_both_are_exact() {
        let terms = [(-3.0, 0.0), (0.0, -1.0), (-700.0, 0.0), (-2.0, -0.5)];
        let (direct, by_logs) = (sum::<f64>(&terms), sum::<LogSum>(&terms));
        assert!(direct.is_exact() && (direct.logarithm() - by_logs.logarithm()).abs() < 1e-12);
        let tiny = [(-600.0, -600.0), (-600.0, -601.0)];
        assert!(!sum::<f64>(&tiny).is_exact());
        let expected = -1200.0 + (1.0 + (-1.0_f64).exp()).ln();
        assert!((sum::<LogSum>(&tiny).logarithm() - expected).abs() < 1e-9);
        assert_eq!(sum::<LogSum>(&[]).logarithm(), f64::NEG_INFINITY);
        assert_eq!(sum::<LogSum>(&[(f64::NEG_INFINITY, 0.0)]).logarithm(), f64::NEG_INFINITY);
    }
}
