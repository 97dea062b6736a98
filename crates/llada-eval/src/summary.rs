//! The means of metrics with their 95 % confidence intervals.

use std::collections::BTreeMap;

use llada_core::interval::{Z, wilson};
use serde::Serialize;

/// The sums of one metric over the questions so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Tally {
    count: usize,
    sum: f64,
    squares: f64,
    /// True if a value was neither 0 nor 1.
    graded: bool,
}

/// The mean of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Figure {
    /// The mean.
    pub value: f64,
    /// The 95 % confidence interval: Wilson's if all values are 0 or 1, otherwise the normal approximation.
    pub interval: [f64; 2],
}

/// The means of a benchmark's metrics over its questions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    tallies: BTreeMap<String, Tally>,
}

impl Summary {
    /// Adds the metrics of one question.
    pub fn add<'a>(&mut self, marks: impl IntoIterator<Item = (&'a str, f64)>) {
        for (metric, value) in marks {
            let tally = self.tallies.entry(metric.to_owned()).or_default();
            tally.count += 1;
            tally.sum += value;
            tally.squares += value * value;
            tally.graded |= value != 0.0 && value != 1.0;
        }
    }

    /// Returns the mean of each metric, by name.
    pub fn figures(&self) -> BTreeMap<String, Figure> {
        self.tallies.iter().map(|(metric, tally)| (metric.clone(), tally.figure())).collect()
    }
}

impl Tally {
    fn figure(&self) -> Figure {
        let n = self.count.max(1) as f64;
        let value = self.sum / n;
        if !self.graded {
            return Figure { value, interval: wilson(self.sum as usize, self.count) };
        }
        let variance = (self.squares / n - value * value).max(0.0) * n / (n - 1.0).max(1.0);
        let half = Z * (variance / n).sqrt();
        Figure { value, interval: [value - half, value + half].map(|bound| bound.clamp(0.0, 1.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(values: &[f64]) -> Figure {
        let mut summary = Summary::default();
        values.iter().for_each(|&value| summary.add([("acc", value)]));
        summary.figures()["acc"]
    }

    #[test]
    fn right_and_wrong_have_wilsons_interval() {
        let found = figure(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(found.value, 0.5);
        assert!((found.interval[0] - 0.2366).abs() < 5e-5 && (found.interval[1] - 0.7634).abs() < 5e-5);
    }

    #[test]
    fn grades_have_the_normal_one() {
        // Mean 0.5, variance 0.01 over two values: the standard error is 0.1 / sqrt(2) * sqrt(2) = 0.1.
        let found = figure(&[0.4, 0.6]);
        assert!((found.interval[0] - (0.5 - 0.1 * Z)).abs() < 1e-12, "{found:?}");
    }
}
