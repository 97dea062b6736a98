//! The rows of several datasets in one run: which of them a row of a step is from.
//!
//! Weights are shares of rows. Row i of a dataset with the share w, counted from 0, comes at the time (i + u) / w,
//! where u is drawn once from the seed (systematic sampling), and rows are taken in the order of their times. So the
//! number of rows of a dataset among the first n of a run is n w, give or take the number of datasets, and it is a
//! function of the seed and n alone: nothing is remembered from step to step. Where a dataset ends, its next epoch
//! begins.

use std::ops::Range;

use llada_core::rng::{Domain, Noise};

/// The shares of datasets.
#[derive(Debug)]
pub(crate) struct Mixture {
    parts: Vec<Share>,
    batch_size: u64,
    noise: Noise,
}

/// The share of one dataset.
#[derive(Debug)]
struct Share {
    /// The shares add up to 1.
    weight: f64,
    /// From 0 to 1.
    phase: f64,
}

impl Mixture {
    /// The mixture of datasets with these weights, which are positive, in batches of `batch_size` rows.
    pub(crate) fn new(weights: &[f64], batch_size: usize, noise: Noise) -> Self {
        let noise = noise.domain(Domain::Shuffle);
        let total: f64 = weights.iter().sum();
        let share = |(part, weight): (usize, &f64)| Share {
            weight: weight / total,
            phase: noise.stream(part as u64, PHASE, 0).uniform(),
        };
        let parts = weights.iter().enumerate().map(share).collect();
        Self { parts, batch_size: batch_size as u64, noise }
    }

    /// The rows of step `step` that each dataset gives, by their numbers in the sequence of its rows, epoch after
    /// epoch.
    pub(crate) fn step(&self, step: u64) -> Vec<Range<u64>> {
        let first = step * self.batch_size;
        let ends = self.counts(first + self.batch_size);
        self.counts(first).into_iter().zip(ends).map(|(start, end)| start..end).collect()
    }

    /// Puts the rows of step `step`, which come dataset by dataset, into a random order: what is drawn for a row
    /// depends on its place.
    pub(crate) fn shuffle<T>(&self, rows: &mut [T], step: u64) {
        if self.parts.len() > 1 {
            self.noise.stream(step, ORDER, 0).shuffle(rows);
        }
    }

    /// The number of rows of each dataset among the first `rows`.
    fn counts(&self, rows: u64) -> Vec<u64> {
        // Fewer of each than there are, whatever the phases.
        let margin = (self.parts.len() + 3) as u64;
        let least = |share: &Share| ((rows as f64 * share.weight) as u64).saturating_sub(margin);
        let mut counts: Vec<u64> = self.parts.iter().map(least).collect();
        while counts.iter().sum::<u64>() < rows {
            let time = |part: usize| (counts[part] as f64 + self.parts[part].phase) / self.parts[part].weight;
            let next = (0..self.parts.len()).min_by(|&a, &b| time(a).total_cmp(&time(b)));
            let Some(part) = next else { break };
            counts[part] += 1;
        }
        counts
    }
}

/// The noise of dataset `part` of a run with `noise`, so that datasets of one size are not seen in one order. The first
/// has the run's own, as it has alone.
pub(super) fn noise_of(part: usize, noise: Noise) -> Noise {
    if part == 0 {
        return noise;
    }
    Noise::new(noise.domain(Domain::Shuffle).stream(part as u64, SEED, 0).below(u64::MAX))
}

/// What the noise of phases, orders and seeds is keyed by, beside that of the datasets' own orders.
const PHASE: u32 = 4;
const ORDER: u32 = 5;
const SEED: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    /// The dataset of each of the first rows, one by one.
    fn sequence(mixture: &Mixture, rows: usize) -> Vec<usize> {
        let mut counts = vec![0; mixture.parts.len()];
        let mut sequence = Vec::new();
        while sequence.len() < rows {
            let time = |part: usize| (f64::from(counts[part]) + mixture.parts[part].phase) / mixture.parts[part].weight;
            let next = (0..counts.len()).min_by(|&a, &b| time(a).total_cmp(&time(b))).unwrap();
            counts[next] += 1;
            sequence.push(next);
        }
        sequence
    }

    #[test]
    fn any_step_can_be_asked_for_and_shares_are_kept() {
        for (seed, weights) in [
            (0, vec![1.0]),
            (1, vec![0.7, 0.3]),
            (2, vec![5.0, 5.0, 1e-3]),
            (3, vec![1.0; 7]),
            (4, vec![1e-9, 3.0, 2.0]),
        ] {
            let (mixture, total) = (Mixture::new(&weights, 6, Noise::new(seed)), weights.iter().sum::<f64>());
            let sequence = sequence(&mixture, 6 * 400);
            let mut before = vec![0; weights.len()];
            for (step, rows) in sequence.chunks(6).enumerate() {
                for (part, range) in mixture.step(step as u64).into_iter().enumerate() {
                    let expected = rows.iter().filter(|&&row| row == part).count() as u64;
                    assert_eq!(range, before[part]..before[part] + expected, "{weights:?}, step {step}");
                    before[part] = range.end;
                    let share = (step as f64 + 1.0) * 6.0 * weights[part] / total;
                    assert!((range.end as f64 - share).abs() < weights.len() as f64, "{weights:?}, step {step}");
                }
            }
            // A run of four billion steps.
            let rows: u64 = mixture.step(u64::from(u32::MAX)).iter().map(|range| range.end - range.start).sum();
            assert_eq!(rows, 6);
        }
    }

    #[test]
    fn the_order_within_a_batch_is_drawn() {
        let mixture = Mixture::new(&[1.0, 1.0], 8, Noise::new(3));
        let order = |step| {
            let mut rows: Vec<usize> = (0..8).collect();
            mixture.shuffle(&mut rows, step);
            rows
        };
        assert_eq!(order(5), order(5));
        assert_ne!(order(5), order(6));
        let mut rows = order(5);
        rows.sort_unstable();
        assert_eq!(rows, (0..8).collect::<Vec<_>>());
    }
}
