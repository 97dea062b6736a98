//! The processes of a [`ProcessGroup`] as those of a run.

use std::ops::Range;

use llada_model::{Exchange, ExchangeError, Numbers, ParameterSlice, Pending};
use llada_train::{TrainError, collective::Collective};

use crate::{DistributedError, ProcessGroup, Work};

/// The processes of a group, which train one model.
#[derive(Debug)]
pub struct C10dCollective {
    group: ProcessGroup,
}

impl C10dCollective {
    /// The processes of `group`.
    pub fn new(group: ProcessGroup) -> Self {
        Self { group }
    }
}

/// Calls that were started together.
#[derive(Debug)]
struct Works(Vec<Work>);

impl Pending for Works {
    fn wait(self: Box<Self>) -> Result<(), ExchangeError> {
        for work in self.0 {
            work.wait()?;
        }
        Ok(())
    }
}

impl Exchange for C10dCollective {
    /// gloo's own reduce-scatter is this all-reduce of a copy.
    fn start_sum(&mut self, mut numbers: Numbers, _own: Range<usize>) -> Result<Box<dyn Pending>, ExchangeError> {
        Ok(Box::new(Works(vec![self.group.start_all_reduce(numbers.tensor_mut())?])))
    }

    fn start_gather(&mut self, numbers: Numbers, bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError> {
        let mut works = Vec::with_capacity(bounds.len());
        for (root, bounds) in bounds.windows(2).enumerate() {
            let mut part = numbers.part(bounds[0]..bounds[1])?;
            works.push(self.group.start_broadcast(part.tensor_mut(), root)?);
        }
        Ok(Box::new(Works(works)))
    }
}

impl Collective for C10dCollective {
    fn rank(&self) -> usize {
        self.group.rank()
    }

    fn world_size(&self) -> usize {
        self.group.world_size()
    }

    fn sum_all(&mut self, values: &mut [f64]) -> Result<(), TrainError> {
        Ok(self.group.sum(values)?)
    }

    fn broadcast(&mut self, slice: &mut ParameterSlice, root: usize) -> Result<(), TrainError> {
        for stretch in slice.stretches_mut() {
            self.group.broadcast(stretch, root)?;
        }
        Ok(())
    }

    fn gather(&mut self, own: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError> {
        Ok(self.group.gather_bytes(&own)?)
    }
}

impl From<DistributedError> for TrainError {
    fn from(error: DistributedError) -> Self {
        Self::Collective(error.into())
    }
}
