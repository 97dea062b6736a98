//! The processes of a [`ProcessGroup`] as those of a run.

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

impl Pending for Work {
    fn wait(self: Box<Self>) -> Result<(), ExchangeError> {
        Ok(Work::wait(*self)?)
    }
}

impl Exchange for C10dCollective {
    fn start_all_reduce(&mut self, mut numbers: Numbers) -> Result<Box<dyn Pending>, ExchangeError> {
        Ok(Box::new(self.group.start_all_reduce(numbers.tensor_mut())?))
    }

    fn start_reduce_scatter(
        &mut self,
        mut numbers: Numbers,
        bounds: &[usize],
    ) -> Result<Box<dyn Pending>, ExchangeError> {
        Ok(Box::new(self.group.start_reduce_scatter(numbers.tensor_mut(), bounds)?))
    }

    fn start_all_gather(&mut self, mut numbers: Numbers, bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError> {
        Ok(Box::new(self.group.start_all_gather(numbers.tensor_mut(), bounds)?))
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
