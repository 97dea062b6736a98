//! Sharded safetensors: memory-mapped, fetched by name and shape, nothing left over.
//!
//! The files are mapped, not read: a tensor that is used as stored costs no copy, and one that is converted gives its
//! pages back as soon as the copy is made, so that loading never holds the weights twice.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use memmap2::{Mmap, UncheckedAdvice};
use safetensors::{Dtype, SafeTensors, tensor::Metadata};
use serde::Deserialize;

use crate::{LladaConfig, ModelError, names};

/// The tensors of a checkpoint folder that have not been fetched yet.
#[derive(Debug)]
pub struct Weights {
    folder: PathBuf,
    shards: Vec<Arc<Shard>>,
    /// Name to shard, for what is left.
    tensors: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    /// Offset of the first tensor's bytes.
    data: usize,
}

/// One tensor as it lies in its mapped file.
#[derive(Debug, Clone)]
pub struct Stored {
    shard: Arc<Shard>,
    start: usize,
    end: usize,
    /// F32 or BF16; I8 for quantised weights.
    pub dtype: Dtype,
    /// Sizes of its dimensions.
    pub shape: Vec<usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Maps `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// A file is missing, unreadable, truncated or hostile; the index points outside its folder, or disagrees with the
    /// shards about where a tensor lies.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let index = folder.join("model.safetensors.index.json");
        let mut weights = Self { folder: folder.to_owned(), shards: Vec::new(), tensors: BTreeMap::new() };
        if !index.exists() {
            weights.add(&folder.join("model.safetensors"))?;
            return Ok(weights);
        }
        let text = fs::read_to_string(&index).map_err(ModelError::io(&index))?;
        let Index { weight_map } = serde_json::from_str(&text).map_err(|e| ModelError::file(&index, e))?;
        let mut files: Vec<&String> = weight_map.values().collect();
        files.sort();
        files.dedup();
        for file in files {
            let mut parts = Path::new(file).components();
            if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
                return Err(ModelError::file(
                    &index,
                    format!("weight_map names {file:?}, which is not a file in its folder"),
                ));
            }
            weights.add(&folder.join(file))?;
        }
        for (name, file) in &weight_map {
            match weights.tensors.get(name) {
                Some(&shard) if weights.shards[shard].path.ends_with(file) => {}
                _ => return Err(ModelError::file(&index, format!("tensor {name} is not in {file}"))),
            }
        }
        Ok(weights)
    }

    fn add(&mut self, path: &Path) -> Result<(), ModelError> {
        let file = File::open(path).map_err(ModelError::io(path))?;
        // SAFETY: the map is only read. Another process that truncates the file meanwhile would stop this one with
        // SIGBUS, as for every program that maps its weights; downloads take their final name only when complete.
        let map = unsafe { Mmap::map(&file) }.map_err(ModelError::io(path))?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| {
            ModelError::file(path, format!("not a whole safetensors file: {e}\nhint: fetch the file again"))
        })?;
        let shard = self.shards.len();
        for name in metadata.offset_keys() {
            if self.tensors.insert(name.clone(), shard).is_some() {
                return Err(ModelError::file(path, format!("tensor {name} is in another shard too")));
            }
        }
        self.shards.push(Arc::new(Shard { path: path.to_owned(), map, metadata, data: header + size_of::<u64>() }));
        Ok(())
    }

    /// Takes the tensor `name`, whose shape must be `shape`.
    ///
    /// # Errors
    /// It is missing, has another shape, or is stored in a dtype other than f32 or bf16.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Stored, ModelError> {
        let stored = self.take_any(name, shape)?;
        let (name, file) = (name.to_owned(), stored.shard.path.clone());
        match stored.dtype {
            Dtype::F32 | Dtype::BF16 => Ok(stored),
            Dtype::I8 => Err(ModelError::StoredInt8 { name, file }),
            other => Err(ModelError::StoredDtype { name, file, dtype: format!("{other:?}") }),
        }
    }

    /// Takes the linear weight `name` of `shape` (out, in) and its scales (out, 1), if it is stored in eight bits.
    ///
    /// # Errors
    /// One of the two has another shape, or there are no scales.
    pub(crate) fn take_quantized(&mut self, name: &str, shape: [usize; 2]) -> Result<Option<[Stored; 2]>, ModelError> {
        let info = self.tensors.get(name).and_then(|&shard| self.shards[shard].metadata.info(name));
        if info.is_none_or(|info| info.dtype != Dtype::I8) {
            return Ok(None);
        }
        let values = self.take_any(name, &shape)?;
        Ok(Some([values, self.take(&names::scale(name), &[shape[0], 1])?]))
    }

    fn take_any(&mut self, name: &str, shape: &[usize]) -> Result<Stored, ModelError> {
        let missing = || ModelError::MissingTensor { name: name.to_owned(), folder: self.folder.clone() };
        let shard = self.shards[self.tensors.remove(name).ok_or_else(missing)?].clone();
        let info = shard.metadata.info(name).ok_or_else(missing)?;
        if info.shape != shape {
            let (expected, found) = (shape.to_vec(), info.shape.clone());
            return Err(ModelError::Shape { name: name.to_owned(), file: shard.path.clone(), expected, found });
        }
        let (start, end) = (shard.data + info.data_offsets.0, shard.data + info.data_offsets.1);
        Ok(Stored { start, end, dtype: info.dtype, shape: info.shape.clone(), shard: shard.clone() })
    }

    /// Takes everything that `config` calls for, and tells what of it cannot be loaded.
    pub fn take_all(&mut self, config: &LladaConfig) -> Vec<ModelError> {
        let mut take = |(name, shape): &(String, Vec<usize>)| {
            let is_quantized = match shape[..] {
                [outputs, inputs] if config.is_quantized => self.take_quantized(name, [outputs, inputs])?.is_some(),
                _ => false,
            };
            if is_quantized { Ok(()) } else { self.take(name, shape).map(drop) }
        };
        names::tensors(config).iter().filter_map(|tensor| take(tensor).err()).collect()
    }

    /// Ends the loading: nothing may be left that the config did not call for.
    ///
    /// # Errors
    /// Some tensor was never taken; the error names it.
    pub fn finish(self) -> Result<(), ModelError> {
        match self.tensors.first_key_value() {
            None => Ok(()),
            Some((name, &shard)) => Err(ModelError::UnexpectedTensor {
                name: name.clone(),
                file: self.shards[shard].path.clone(),
                others: self.tensors.len() - 1,
            }),
        }
    }

    /// Every tensor that is left: name, dtype and shape, by name.
    pub fn list(&self) -> impl Iterator<Item = (&str, Dtype, &[usize])> {
        self.tensors.iter().filter_map(|(name, &shard)| {
            let info = self.shards[shard].metadata.info(name)?;
            Some((name.as_str(), info.dtype, info.shape.as_slice()))
        })
    }

    /// Bytes of all shards together.
    pub fn file_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.map.len() as u64).sum()
    }
}

impl Stored {
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
