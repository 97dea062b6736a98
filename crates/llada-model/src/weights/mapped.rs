//! One tensor of a mapped file.

use std::sync::Arc;

use memmap2::UncheckedAdvice;
use safetensors::Dtype;

use super::Shard;
use crate::ModelError;

/// One tensor as it lies in its mapped file.
#[derive(Debug, Clone)]
pub struct MappedTensor {
    pub(super) shard: Arc<Shard>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// F32 or BF16; I8 for quantised weights.
    pub dtype: Dtype,
    /// Sizes of its dimensions.
    pub shape: Vec<usize>,
}

impl MappedTensor {
    /// Itself, if it is stored in f32 or bf16; `name` is for the error.
    pub(super) fn checked_float(self, name: &str) -> Result<Self, ModelError> {
        let (name, file) = (name.to_owned(), self.shard.path.clone());
        match self.dtype {
            Dtype::F32 | Dtype::BF16 => Ok(self),
            Dtype::I8 => Err(ModelError::StoredInt8 { name, file }),
            other => Err(ModelError::StoredDtype { name, file, dtype: format!("{other:?}") }),
        }
    }

    /// Whether it holds eight-bit integers.
    pub(crate) fn is_int8(&self) -> bool {
        self.dtype == Dtype::I8
    }

    /// The tensor's bytes, little-endian, row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.shard.map[self.start..self.end]
    }

    /// Gives the pages of a tensor that has been copied elsewhere back to the system.
    pub fn release(self) {
        // SAFETY: the mapping is private, read-only and backed by its file, so a dropped page that somebody still
        // reads comes back from the file unchanged.
        let dropped = unsafe {
            self.shard.map.unchecked_advise_range(UncheckedAdvice::DontNeed, self.start, self.end - self.start)
        };
        // Advice only: where the system does not take it, memory is what it would have been.
        drop(dropped);
    }
}
