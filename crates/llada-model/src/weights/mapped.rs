//! A tensor in a mapped file.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use half::{bf16, f16};
use memmap2::UncheckedAdvice;
use safetensors::Dtype;

use super::Shard;
use crate::ModelError;

/// The number of bytes that are written at once.
const PIECE: usize = 16 << 20;

/// A tensor as it is stored in a mapped file.
#[derive(Debug, Clone)]
pub struct MappedTensor {
    pub(super) shard: Arc<Shard>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The stored dtype: F32 or BF16, or I8 for quantised weights.
    pub dtype: Dtype,
    /// The sizes of the dimensions.
    pub shape: Vec<usize>,
}

impl MappedTensor {
    /// Returns the tensor if it is stored in f32 or bf16, and otherwise an error with its `name`.
    pub(crate) fn checked_float(self, name: &str) -> Result<Self, ModelError> {
        let (name, file) = (name.to_owned(), self.shard.path.clone());
        match self.dtype {
            Dtype::F32 | Dtype::BF16 => Ok(self),
            Dtype::I8 => Err(ModelError::StoredInt8 { name, file }),
            other => Err(ModelError::StoredDtype { name, file, dtype: format!("{other:?}") }),
        }
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.shard.path
    }

    /// Returns true if the tensor is stored in eight bits.
    pub(crate) fn is_int8(&self) -> bool {
        self.dtype == Dtype::I8
    }

    /// Returns the bytes of the tensor, little-endian and row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.shard.map[self.start..self.end]
    }

    /// Returns the values of a tensor of floats as f32, and otherwise an error with its `name`.
    pub(crate) fn values(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let bytes = self.bytes();
        Ok(match self.dtype {
            Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Dtype::BF16 => bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            Dtype::F16 => bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            other => {
                let (name, file) = (name.to_owned(), self.shard.path.clone());
                return Err(ModelError::StoredDtype { name, file, dtype: format!("{other:?}") });
            }
        })
    }

    /// Writes the bytes, and returns the pages to the system on the way, so that few are in memory at once.
    pub(super) fn write_to(mut self, out: &mut dyn Write) -> io::Result<()> {
        while self.start < self.end {
            let piece = Self { end: self.end.min(self.start + PIECE), ..self.clone() };
            out.write_all(piece.bytes())?;
            self.start = piece.end;
            piece.release();
        }
        Ok(())
    }

    /// Returns the pages of the tensor to the system, after it has been copied.
    pub fn release(self) {
        // SAFETY: the mapping is private, read-only and backed by its file, so a dropped page that somebody still
        // reads comes back from the file unchanged.
        let dropped = unsafe {
            self.shard.map.unchecked_advise_range(UncheckedAdvice::DontNeed, self.start, self.end - self.start)
        };
        // This is only advice. If the system refuses it, the pages stay in memory, and nothing else changes.
        drop(dropped);
    }
}
