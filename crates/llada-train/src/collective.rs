//! What the processes of a data-parallel run tell each other.
//!
//! Every process holds the whole model and computes its share of each batch ([`MaskedBatch::share`]). The weights of the
//! loss are those of the whole batch, so the gradient of the batch is the plain sum of the shares' gradients. From there on
//! all processes compute the same, and their models stay equal without ever being compared.
//!
//! [`MaskedBatch::share`]: crate::objective::MaskedBatch::share

use std::{fmt, ops::Range};

use llada_model::Parameters;

use crate::TrainError;

/// The processes that train one model together.
///
/// All of them make the same calls in the same order; a call returns once all have made it. Whoever implements it sums in
/// the order of the ranks, so that a run of one world size is the same bit for bit whenever it is repeated.
pub trait Collective: fmt::Debug {
    /// The number of this process, from 0. Rank 0 alone validates and writes files.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn world_size(&self) -> usize;

    /// Replaces `parameters` by their sum over all processes (an all-reduce).
    ///
    /// # Errors
    /// A process cannot be reached.
    fn sum_parameters(&mut self, parameters: &mut Parameters) -> Result<(), TrainError>;

    /// The sum of `value` over all processes.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn sum(&mut self, value: f64) -> Result<f64, TrainError>;

    /// Whether `condition` holds in any process.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn any(&mut self, condition: bool) -> Result<bool, TrainError> {
        Ok(self.sum(if condition { 1.0 } else { 0.0 })? > 0.0)
    }
}

/// The share of process `rank` of `world_size` in `count` items: consecutive, as many as any other's or one more.
pub(crate) fn share(count: usize, rank: usize, world_size: usize) -> Range<usize> {
    count * rank / world_size..count * (rank + 1) / world_size
}

/// A run in one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SingleProcess;

impl Collective for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn world_size(&self) -> usize {
        1
    }

    fn sum_parameters(&mut self, _parameters: &mut Parameters) -> Result<(), TrainError> {
        Ok(())
    }

    fn sum(&mut self, value: f64) -> Result<f64, TrainError> {
        Ok(value)
    }
}
