//! The order in which training sees the rows of a dataset: each once an epoch, shuffled by the seed and the epoch
//! alone.
//!
//! Nothing is remembered from step to step, so a run that resumes at a step sees exactly what it would have seen; and no
//! list of the rows is kept, so there may be any number of them.

use std::collections::BTreeSet;

use llada_core::{
    permutation::Permutation,
    rng::{Domain, Noise},
};

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
    /// The epoch and the window of the rows that were last asked for.
    window: Option<(u64, usize)>,
    /// The rows of that window, in order.
    rows_of_window: Vec<usize>,
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
        Ok(Self { rows, batch_size, noise, lengths, window: None, rows_of_window: Vec::new() })
    }

    /// The rows of step `step`, counted from 0. The rows that are left over at the end of an epoch, fewer than a batch,
    /// are not seen in it.
    pub fn batch(&mut self, step: u64) -> &[usize] {
        let batches = self.rows / self.batch_size;
        let (epoch, mut batch) = (step / batches as u64, (step % batches as u64) as usize);
        let mut batches_of_window = 1;
        if self.lengths.is_some() {
            // Sorted batches are in an order of their own, or the short ones would come first in each window.
            batch = self.permutation(batches, epoch, 1).at(batch as u64) as usize;
            batches_of_window = WINDOW;
        }
        let window = batch / batches_of_window;
        if self.window != Some((epoch, window)) {
            let size = batches_of_window * self.batch_size;
            let end = ((window + 1) * size).min(batches * self.batch_size);
            let order = self.permutation(self.rows, epoch, 0);
            self.rows_of_window.clear();
            self.rows_of_window.extend((window * size..end).map(|place| order.at(place as u64) as usize));
            if let Some(lengths) = &self.lengths {
                self.rows_of_window.sort_by_key(|&row| lengths[row]);
            }
            self.window = Some((epoch, window));
        }
        &self.rows_of_window[batch % batches_of_window * self.batch_size..][..self.batch_size]
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

    /// The order of epoch `epoch` of `len` things of kind `kind`.
    fn permutation(&self, len: usize, epoch: u64, kind: u32) -> Permutation {
        Permutation::new(len as u64, &self.noise.stream(epoch, kind, 0))
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
    fn rows_that_no_list_holds_have_an_order() {
        let mut order = BatchOrder::new(1 << 40, 1000, Noise::new(1), None).unwrap();
        let mut rows: Vec<usize> = [0, 1 << 29].into_iter().flat_map(|step| order.batch(step).to_vec()).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 2000);
        assert!(rows[1999] < 1 << 40);
    }

    #[test]
    fn grouped_rows_are_about_equally_long() {
        let lengths: Vec<usize> = (0..5000).map(|row| row * 7919 % 100).collect();
        let mut order = BatchOrder::new(5000, 10, Noise::new(2), Some(lengths.clone())).unwrap();
        let mut seen: Vec<usize> = Vec::new();
        for step in 0..500 {
            seen.extend(order.batch(step));
            let of_batch: Vec<usize> = order.batch(step).iter().map(|&row| lengths[row]).collect();
            assert!(of_batch.iter().max().unwrap() - of_batch.iter().min().unwrap() <= 8);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..5000).collect::<Vec<_>>());
    }

    #[test]
    fn too_few_rows_are_refused() {
        let error = BatchOrder::new(3, 4, Noise::new(0), None).unwrap_err();
        assert_eq!(error.to_string(), "batch_size is 4");
        assert!(error.hint().unwrap().to_string().contains("the data has 3 rows"));
    }
}
