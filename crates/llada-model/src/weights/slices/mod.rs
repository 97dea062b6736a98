//! Tensors whose rows are divided among files, one file a process, as PyTorch's distributed checkpoints (DCP) store them
//! in safetensors: `torch/distributed/checkpoint/hf_storage.py` of PyTorch 2.13.
//!
//! A file is `shard-00001-model-00001-of-00001.safetensors` for the first process, and so on. Its metadata have
//! `DCP_VERSION`, and in `DCP_SHARDING_INFO` the place at which each of its tensors begins in the whole one. Nothing says
//! how large a whole tensor is: it ends where its last slice does.

mod read;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

pub(crate) use self::read::{Slice, SlicedWeights};
use self::read::{covering, whole_shape};
use crate::{
    ModelError,
    files::{TensorHead, with_heads, write_safetensors_with},
};

const VERSION: &str = "DCP_VERSION";
const SHARDING: &str = "DCP_SHARDING_INFO";

/// The version of the format that is written and read.
const READ_VERSION: &str = "1.0";

/// The place of a slice.
#[derive(Serialize, Deserialize)]
struct Place {
    /// The indices of its first number in the whole tensor.
    saved_offsets: Vec<usize>,
}

/// Returns true if a file of this name has slices of tensors.
pub fn is_slice(name: &str) -> bool {
    name.starts_with("shard-") && name.ends_with(".safetensors")
}

/// Writes the slices of process `rank`, from the names of tensors, their first rows, and their rows, and returns the name of
/// the file.
pub(crate) fn write(
    folder: &Path,
    rank: usize,
    slices: Vec<(String, usize, TensorView<'_>)>,
) -> Result<String, ModelError> {
    let file = format!("shard-{:05}-model-00001-of-00001.safetensors", rank + 1);
    let path = folder.join(&file);
    let (mut places, mut tensors) = (BTreeMap::new(), Vec::with_capacity(slices.len()));
    for (name, first_row, view) in slices {
        let mut saved_offsets = vec![0; view.shape().len()];
        if let Some(row) = saved_offsets.first_mut() {
            *row = first_row;
        }
        places.insert(name.clone(), Place { saved_offsets });
        tensors.push((name, view));
    }
    let places = serde_json::to_string(&places).map_err(|e| ModelError::file(&path, e))?;
    let metadata = BTreeMap::from([(VERSION, READ_VERSION.to_owned()), (SHARDING, places)]);
    write_safetensors_with(&path, metadata, with_heads(tensors), |view, out| out.write_all(view.data()))?;
    Ok(file)
}

/// Writes the safetensors file `path` with the whole tensors of which `folder` has the slices. The rows go from file to
/// file, and never are all in memory.
///
/// # Errors
/// A slice is missing, overlaps another, or is damaged; the file cannot be written.
pub fn merge_slices(folder: &Path, path: &Path) -> Result<(), ModelError> {
    let mut weights = SlicedWeights::open(folder)?;
    let mut tensors = Vec::new();
    while let Some((name, slices)) = weights.slices.pop_first() {
        let Some(last) = slices.last() else { continue };
        let (dtype, shape) = (last.stored.dtype, whole_shape(last.first_row, &last.stored.shape));
        let slices = covering(folder, &name, &shape, slices)?;
        tensors.push((TensorHead { name, dtype, shape }, slices));
    }
    write_safetensors_with(path, BTreeMap::new(), tensors, |slices: Vec<Slice>, out| {
        slices.into_iter().try_for_each(|slice| slice.stored.write_to(out))
    })
}
