//! A stretch of the flat tensor of [`Parameters`], where processes divide among them what each would otherwise keep
//! whole: the moments of the optimizer (ZeRO stage 1, Rajbhandari et al. 2020, arXiv 1910.02054).

use std::{ops::Range, path::Path, sync::Arc};

use tch::{Kind, Tensor, no_grad};

use super::parameters::{ParameterLayout, Parameters};
use crate::{ModelError, Weights, torch::tensor::map};

/// Stretches begin at multiples of this many numbers, so that those of several processes are computed in the vectors in
/// which one process computes them.
const ALIGNMENT: i64 = 64;

/// The numbers of one process's share of the parameters of a model.
#[derive(Debug)]
pub struct ParameterSlice {
    pub(super) layout: Arc<ParameterLayout>,
    pub(super) start: i64,
    /// (numbers of the share) f32.
    pub(super) flat: Tensor,
}

impl Parameters {
    /// Returns the share of process `rank` of `world_size`, in the memory of this set.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn slice(&self, rank: usize, world_size: usize) -> Result<ParameterSlice, ModelError> {
        let total = self.layout.total;
        let longest = (total as u64).div_ceil(world_size.max(1) as u64).next_multiple_of(ALIGNMENT as u64) as i64;
        let bound = |rank: usize| longest.saturating_mul(rank as i64).min(total);
        let (start, end) = (bound(rank), bound(rank + 1));
        Ok(ParameterSlice { layout: self.layout.clone(), start, flat: self.flat.f_narrow(0, start, end - start)? })
    }
}

impl ParameterSlice {
    /// Creates zeros for the same share.
    ///
    /// # Errors
    /// The device has too little memory.
    pub fn zeros_like(&self) -> Result<Self, ModelError> {
        self.zeros_on(self.flat.device())
    }

    /// Creates zeros for the same share, in the memory of the CPU.
    ///
    /// # Errors
    /// There is too little memory.
    pub fn zeros_on_cpu(&self) -> Result<Self, ModelError> {
        self.zeros_on(tch::Device::Cpu)
    }

    fn zeros_on(&self, device: tch::Device) -> Result<Self, ModelError> {
        let flat = Tensor::f_zeros([self.len()], (Kind::Float, device))?;
        Ok(Self { layout: self.layout.clone(), start: self.start, flat })
    }

    /// Copies the numbers of `other`, which is of the same share, from whatever device it is on.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), ModelError> {
        no_grad(|| Ok(self.flat.f_copy_(&other.flat)?))
    }

    /// Returns the numbers as a set, in the same memory, if the share is all of it.
    pub fn whole(&self) -> Option<Parameters> {
        let is_whole = self.len() == self.layout.total;
        is_whole.then(|| Parameters { layout: self.layout.clone(), flat: self.flat.shallow_clone() })
    }

    /// Returns all numbers in one tensor, for what other crates do with them as a whole, such as sending them.
    ///
    /// # Shapes
    /// -> (numbers of the share) f32, contiguous.
    pub fn flat_mut(&mut self) -> &mut Tensor {
        &mut self.flat
    }

    /// Reads this share of the safetensors in `folder`, whose tensors must be those of the whole set, stored in f32 or
    /// bf16.
    ///
    /// # Errors
    /// A file is damaged; a tensor is missing or unexpected, or has another shape or dtype.
    pub fn read(&mut self, folder: &Path) -> Result<(), ModelError> {
        let mut weights = Weights::open(folder)?;
        for (name, span) in &self.layout.spans {
            let stored = weights.take(name, &span.shape)?;
            let count: i64 = span.shape.iter().map(|&size| size as i64).product();
            let Range { start, end } = self.within(span.start, span.start + count);
            if start < end {
                let part = map(&stored)?.f_reshape([-1])?.f_narrow(0, start - span.start, end - start)?;
                no_grad(|| self.stretch(start, end)?.f_copy_(&part).map_err(ModelError::from))?;
            }
            stored.release();
        }
        weights.finish()
    }

    /// Returns the part of the stretch from `start` to `end` that is in this share.
    pub(super) fn within(&self, start: i64, end: i64) -> Range<i64> {
        let bound = |place: i64| place.clamp(self.start, self.start + self.len());
        bound(start)..bound(end)
    }

    /// # Shapes
    /// -> (end - start) f32, a view.
    pub(super) fn stretch(&self, start: i64, end: i64) -> Result<Tensor, ModelError> {
        Ok(self.flat.f_narrow(0, start - self.start, end - start)?)
    }

    fn len(&self) -> i64 {
        self.flat.numel() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set of `count` numbers from 0 on.
    fn numbers(count: usize) -> Parameters {
        let vector = [("norm".to_owned(), vec![3])];
        let layout = ParameterLayout::new([("matrix".to_owned(), vec![count / 5, 5])].into_iter().chain(vector));
        let mut numbers = Parameters::new(Arc::new(layout), tch::Device::Cpu).unwrap();
        let total = numbers.layout.total;
        numbers.flat_mut().copy_(&Tensor::arange(total, (Kind::Float, tch::Device::Cpu)));
        numbers
    }

    #[test]
    fn shares_are_all_numbers_once_and_are_read_from_a_file_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        for (count, world_size) in [(1000, 1), (1000, 2), (1000, 3), (1000, 7), (5, 4)] {
            let whole = numbers(count);
            whole.write(folder.path(), crate::Dtype::F32).unwrap();
            let mut found = Vec::new();
            for rank in 0..world_size {
                let share = whole.slice(rank, world_size).unwrap();
                let mut read = share.zeros_like().unwrap();
                read.read(folder.path()).unwrap();
                assert_eq!(Vec::<f32>::try_from(&read.flat).unwrap(), Vec::<f32>::try_from(&share.flat).unwrap());
                found.extend(Vec::<f32>::try_from(&share.flat).unwrap());
                assert_eq!(share.whole().is_some(), share.len() == whole.layout.total);
            }
            assert_eq!(found, (0..count + 3).map(|number| number as f32).collect::<Vec<_>>(), "{world_size}");
        }
    }
}
