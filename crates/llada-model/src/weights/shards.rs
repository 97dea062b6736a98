//! Writing the shards of a new checkpoint, and the index that lists their tensors.

use std::{collections::BTreeMap, path::PathBuf};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;

use super::INDEX;
use crate::{
    ModelError,
    files::{write_json, write_safetensors},
};

/// A tensor to be written.
pub(crate) struct OutputTensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Little-endian and row-major.
    pub(crate) bytes: Vec<u8>,
}

/// The shards of a checkpoint that is being written.
pub(crate) struct Shards {
    folder: PathBuf,
    count: usize,
    written: usize,
    /// The names of files by those of their tensors.
    weight_map: BTreeMap<String, String>,
}

impl Shards {
    /// Begins a checkpoint of `count` shards in `folder`.
    pub(crate) fn new(folder: PathBuf, count: usize) -> Self {
        Self { folder, count, written: 0, weight_map: BTreeMap::new() }
    }

    /// Writes the next shard.
    pub(crate) fn write(&mut self, tensors: &[OutputTensor]) -> Result<(), ModelError> {
        self.written += 1;
        let file = format!("model-{:05}-of-{:05}.safetensors", self.written, self.count);
        let path = self.folder.join(&file);
        let mut views = Vec::with_capacity(tensors.len());
        for OutputTensor { name, dtype, shape, bytes } in tensors {
            let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| ModelError::file(&path, e))?;
            views.push((name, view));
        }
        write_safetensors(&path, views)?;
        self.weight_map.extend(tensors.iter().map(|tensor| (tensor.name.clone(), file.clone())));
        Ok(())
    }

    /// Writes the index.
    pub(crate) fn finish(self) -> Result<(), ModelError> {
        write_json(&self.folder.join(INDEX), &json!({ "metadata": {}, "weight_map": self.weight_map }))
    }
}
