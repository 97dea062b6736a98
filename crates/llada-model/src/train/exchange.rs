//! What a model in training needs of the processes that train it together: sums of gradients, and weights of which each
//! has a part. Both are started and waited for, so that the next block is computed in between.

use std::{error::Error, fmt, ops::Range};

use tch::{Tensor, no_grad};

use crate::ModelError;

/// Why a process could not be reached.
pub type ExchangeError = Box<dyn Error + Send + Sync>;

/// The processes that train one model together. All of them make the same calls in the same order.
pub trait Exchange {
    /// Starts to replace `numbers` by their sum over all processes (an all-reduce). A sum has the same bits whatever else is
    /// on its way, and in every process.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn start_all_reduce(&mut self, numbers: Numbers) -> Result<Box<dyn Pending>, ExchangeError>;

    /// Starts to replace `numbers` by their sum over all processes, of which process r gets those from `bounds[r]` to
    /// `bounds[r + 1]` (a reduce-scatter). It reads no others afterwards. A sum has the same bits whatever else is on its
    /// way, and in whichever process.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn start_reduce_scatter(&mut self, numbers: Numbers, bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError>;

    /// Starts to complete `numbers`, of which process r has those from `bounds[r]` to `bounds[r + 1]` (an all-gather).
    ///
    /// # Errors
    /// A process cannot be reached.
    fn start_all_gather(&mut self, numbers: Numbers, bounds: &[usize]) -> Result<Box<dyn Pending>, ExchangeError>;
}

/// A call of all processes that was started. Its numbers are not touched until it was waited for.
pub trait Pending: fmt::Debug {
    /// Returns once the numbers are there.
    ///
    /// # Errors
    /// A process cannot be reached.
    fn wait(self: Box<Self>) -> Result<(), ExchangeError>;
}

/// Some of the numbers of [`Parameters`](crate::Parameters), in their memory.
#[derive(Debug)]
pub struct Numbers {
    /// (numbers) f32, or bf16 if they are weights that are computed with in bf16.
    flat: Tensor,
}

impl Numbers {
    pub(super) fn of(flat: &Tensor) -> Self {
        Self { flat: flat.shallow_clone() }
    }

    /// Returns the numbers as a tensor.
    ///
    /// # Shapes
    /// -> (numbers) f32 or bf16, contiguous, maybe empty.
    pub fn tensor_mut(&mut self) -> &mut Tensor {
        &mut self.flat
    }

    /// Returns some of the numbers, in the same memory.
    ///
    /// # Errors
    /// There are fewer.
    pub fn part(&self, Range { start, end }: Range<usize>) -> Result<Self, ModelError> {
        Ok(Self { flat: self.flat.f_narrow(0, start as i64, end.saturating_sub(start) as i64)? })
    }

    /// Returns a copy.
    ///
    /// # Errors
    /// There is too little memory.
    pub fn copied(&self) -> Result<Self, ModelError> {
        Ok(Self { flat: no_grad(|| self.flat.f_to_dtype(self.flat.kind(), false, true))? })
    }

    /// Copies `other`, which are as many.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), ModelError> {
        no_grad(|| Ok(self.flat.f_copy_(&other.flat)?))
    }

    /// Adds `other`, which are as many.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn add(&mut self, other: &Self) -> Result<(), ModelError> {
        _ = no_grad(|| self.flat.f_add_(&other.flat))?;
        Ok(())
    }
}
