//! The order in which training sees the rows of a dataset: each once an epoch, shuffled by the seed and the epoch
//! alone.
//!
//! Nothing is remembered from step to step, so a run that resumes at a step sees exactly what it would have seen.

use std::collections::BTreeSet;

use llada_core::rng::{Domain, Noise};

use crate::TrainError;

/// The number of batches within which rows are sorted by length, if they are grouped: enough for the rows of a batch to
/// be about equally long, few enough for batches to stay random.
pub(super) const WINDOW: usize = 50;

/// A seeded order of rows, epoch after epoch.
#[derive(Debug)]
pub struct BatchOrder {
    rows: usize,
    batch_size: usize,
    noise: Noise,
    /// The length of each row, if rows are grouped by it.
    lengths: Option<Vec<usize>>,
    /// The epoch that was last asked for.
    epoch: u64,
    /// Its rows, in order.
    rows_of_epoch: Vec<usize>,
}

impl BatchOrder {
    /// The order of `rows` rows in batches of `batch_size`. With `lengths`, one a row, the rows of a batch are about
    /// equally long.
    ///
    /// # Errors
    /// There are fewer rows than one batch.
    pub fn new(rows: usize, batch_size: usize, noise: Noise, lengths: Option<Vec<usize>>) -> Result<Self, TrainError> {
        if batch_size == 0 || rows < batch_size {
            let hint = format!("the data has {rows} rows: choose a batch_size from 1 to that");
            return Err(TrainError::config("batch_size", batch_size, hint));
        }
        let noise = noise.domain(Domain::Shuffle);
        let mut order = Self { rows, batch_size, noise, lengths, epoch: 0, rows_of_epoch: Vec::new() };
        order.rows_of_epoch = order.shuffled(0);
        Ok(order)
    }

    /// The rows of step `step`, counted from 0. The rows that are left over at the end of an epoch, fewer than a batch,
    /// are not seen in it.
    pub fn batch(&mut self, step: u64) -> &[usize] {
        let batches = (self.rows / self.batch_size) as u64;
        let (epoch, batch) = (step / batches, (step % batches) as usize);
        if epoch != self.epoch {
            self.epoch = epoch;
            self.rows_of_epoch = self.shuffled(epoch);
        }
        &self.rows_of_epoch[batch * self.batch_size..][..self.batch_size]
    }

    /// The rows of the first `steps` steps.
    pub(crate) fn seen(&mut self, steps: u64) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        for step in 0..steps {
            seen.extend(self.batch(step));
            if seen.len() == self.rows {
                break;
            }
        }
        seen
    }

    fn shuffled(&self, epoch: u64) -> Vec<usize> {
        let mut stream = self.noise.stream(epoch, 0, 0);
        let mut order: Vec<usize> = (0..self.rows).collect();
        stream.shuffle(&mut order);
        let Some(lengths) = &self.lengths else { return order };
        order.truncate(self.rows / self.batch_size * self.batch_size);
        for window in order.chunks_mut(WINDOW * self.batch_size) {
            window.sort_by_key(|&row| lengths[row]);
        }
        let mut batches: Vec<&[usize]> = order.chunks(self.batch_size).collect();
        stream.shuffle(&mut batches);
        batches.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_permutation_and_the_next_another() {
        let mut order = BatchOrder::new(103, 10, Noise::new(1), None).unwrap();
        let mut epoch =
            |first: u64| -> Vec<usize> { (first..first + 10).flat_map(|step| order.batch(step).to_vec()).collect() };
        let (one, two) = (epoch(0), epoch(10));
        assert_ne!(one, two);
        assert_eq!(one, epoch(0));
        let mut sorted = one;
        sorted.sort_unstable();
        assert!(sorted.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn grouped_rows_are_about_equally_long() {
        let lengths: Vec<usize> = (0..5000).map(|row| row * 7919 % 100).collect();
        let mut order = BatchOrder::new(5000, 10, Noise::new(2), Some(lengths.clone())).unwrap();
        for step in 0..500 {
            let of_batch: Vec<usize> = order.batch(step).iter().map(|&row| lengths[row]).collect();
            assert!(of_batch.iter().max().unwrap() - of_batch.iter().min().unwrap() <= 8);
        }
    }

    #[test]
    fn too_few_rows_are_refused() {
        let error = BatchOrder::new(3, 4, Noise::new(0), None).unwrap_err();
        assert_eq!(error.to_string(), "batch_size is 4");
        assert!(error.hint().unwrap().to_string().contains("the data has 3 rows"));
    }
}
