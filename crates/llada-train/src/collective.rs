//! What the processes of a data-parallel run tell each other.
//!
//! Every process computes its share of each batch ([`MaskedBatch::share`]). The weights of the loss are those of the whole
//! batch, so the gradient of the batch is the plain sum of the shares' gradients. From there on all processes compute the
//! same, or each its share of it, and their models stay equal without ever being compared.
//!
//! [`MaskedBatch::share`]: crate::objective::MaskedBatch::share

use std::{
    fmt,
    ops::{ControlFlow, Range},
};

use llada_model::{Exchange, ExchangeError, Numbers, ParameterSlice, Pending};
use serde::{Serialize, de::DeserializeOwned};

use crate::TrainError;

/// The processes that train one model together.
///
/// All of them make the same calls in the same order; a call returns once all have made it. Sums have the same bits in
/// every process, and whenever they are repeated by as many.
pub trait Collective: Exchange + fmt::Debug {
    /// The number of this process, from 0. Rank 0 alone writes files.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn world_size(&self) -> usize;

    /// Replaces each of `values` by its sum over all processes. If a value is 0 in all processes but one, the sum is
    /// that of this one, bit for bit.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn sum_all(&mut self, values: &mut [f64]) -> Result<(), TrainError>;

    /// Replaces `slice` in all processes by that of process `root`.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn broadcast(&mut self, slice: &mut ParameterSlice, root: usize) -> Result<(), TrainError>;

    /// The bytes of all processes, in the order of the ranks.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn gather(&mut self, own: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError>;

    /// The sum of `value` over all processes.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn sum(&mut self, value: f64) -> Result<f64, TrainError> {
        let mut values = [value];
        self.sum_all(&mut values)?;
        Ok(values[0])
    }

    /// Whether `condition` holds in any process.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn any(&mut self, condition: bool) -> Result<bool, TrainError> {
        Ok(self.sum(if condition { 1.0 } else { 0.0 })? > 0.0)
    }

    /// Returns once all processes are here.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn barrier(&mut self) -> Result<(), TrainError> {
        self.sum(0.0).map(|_| ())
    }

    /// The share of this process in `count` items: consecutive, as many as any other's or one more.
    fn share(&self, count: usize) -> Range<usize> {
        share(count, self.rank(), self.world_size())
    }
}

/// The share of process `rank` of `world_size` in `count` items: consecutive, as many as any other's or one more.
pub(crate) fn share(count: usize, rank: usize, world_size: usize) -> Range<usize> {
    count * rank / world_size..count * (rank + 1) / world_size
}

/// The items of all processes, in the order of the ranks.
pub(crate) fn gather<T: Serialize + DeserializeOwned>(
    collective: &mut dyn Collective,
    own: Vec<T>,
) -> Result<Vec<T>, TrainError> {
    if collective.world_size() == 1 {
        return Ok(own);
    }
    let refuse = |error: serde_json::Error| TrainError::Collective(error.into());
    let mut items = Vec::new();
    for bytes in collective.gather(serde_json::to_vec(&own).map_err(refuse)?)? {
        items.extend(serde_json::from_slice::<Vec<T>>(&bytes).map_err(refuse)?);
    }
    Ok(items)
}

/// What `own` has, unless any process was stopped.
pub(crate) fn agreed<T>(
    collective: &mut dyn Collective,
    own: ControlFlow<(), T>,
) -> Result<ControlFlow<(), T>, TrainError> {
    Ok(if collective.any(own.is_break())? { ControlFlow::Break(()) } else { own })
}

/// What `own` has, unless any process has failed: then it is this one's error, or that of the first process that has. The
/// outer error is that the processes cannot tell each other.
pub(crate) fn succeeded<T>(
    collective: &mut dyn Collective,
    own: Result<T, TrainError>,
) -> Result<Result<T, TrainError>, TrainError> {
    let failure = |error: &TrainError| (error.to_string(), error.hint().map(|hint| hint.to_string()));
    let failures = gather(collective, vec![own.as_ref().err().map(failure)])?;
    let first = failures.into_iter().enumerate().find_map(|(rank, failure)| Some((rank, failure?)));
    Ok(match (own, first) {
        (Ok(_), Some((rank, (message, hint)))) => Err(TrainError::OtherRank { rank, message, hint }),
        (own, _) => own,
    })
}

/// A run in one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SingleProcess;

/// A call of an [`Exchange`] that has returned only when all processes had made it.
#[derive(Debug, Clone, Copy)]
pub struct Done;

impl Pending for Done {
    fn wait(self: Box<Self>) -> Result<(), ExchangeError> {
        Ok(())
    }
}

impl Exchange for SingleProcess {
    fn start_all_reduce(&mut self, _numbers: Numbers) -> Result<Box<dyn Pending>, ExchangeError> {
        Ok(Box::new(Done))
    }

    fn start_reduce_scatter(
        &mut self,
        _numbers: Numbers,
        _bounds: &[usize],
    ) -> Result<Box<dyn Pending>, ExchangeError> {
        Ok(Box::new(Done))
    }

    fn start_all_gather(&mut self, _numbers: Numbers, _bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError> {
        Ok(Box::new(Done))
    }
}

impl Collective for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn world_size(&self) -> usize {
        1
    }

    fn sum_all(&mut self, _values: &mut [f64]) -> Result<(), TrainError> {
        Ok(())
    }

    fn broadcast(&mut self, _slice: &mut ParameterSlice, _root: usize) -> Result<(), TrainError> {
        Ok(())
    }

    fn gather(&mut self, own: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError> {
        Ok(vec![own])
    }
}
