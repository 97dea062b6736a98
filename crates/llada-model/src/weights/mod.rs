//! Sharded safetensors: memory-mapped, compared with the config before anything is made of them, fetched by name and
//! shape, nothing left over.
//!
//! The files are mapped, not read: a tensor that is used as stored costs no copy, and one that is converted gives its
//! pages back as soon as the copy is made, so that loading never holds the weights twice.

mod check;
mod inv_freq;
mod mapped;
pub(crate) mod role;
pub(crate) mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::Metadata};
use serde::Deserialize;

pub(crate) use self::mapped::MappedTensor;
use crate::{ModelError, files, folder};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// What torch's wrappers put before every name: `DistributedDataParallel`, `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// The tensors of a checkpoint folder that have not been fetched yet.
#[derive(Debug)]
pub struct Weights {
    folder: PathBuf,
    shards: Vec<Arc<Shard>>,
    /// What stands before every name in the files.
    prefix: String,
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

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Maps `model.safetensors`, or where there is none the shards that `model.safetensors.index.json` names, as
    /// transformers does.
    ///
    /// # Errors
    /// A file is missing, unreadable, truncated or hostile; the index points outside its folder, or disagrees with the
    /// shards about where a tensor lies; the folder holds an adapter, or weights in other formats alone.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        folder::check(folder)?;
        let mut weights =
            Self { folder: folder.to_owned(), shards: Vec::new(), prefix: String::new(), tensors: BTreeMap::new() };
        match File::open(folder.join(SINGLE)) {
            Ok(file) => weights.add(&folder.join(SINGLE), &file)?,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(ModelError::Io { path: folder.join(SINGLE), source: error });
            }
            Err(_) if folder.join(INDEX).exists() => weights.add_shards(&folder.join(INDEX))?,
            Err(error) => return Err(folder::without_weights(folder, error)),
        }
        weights.unwrap_names();
        Ok(weights)
    }

    fn add_shards(&mut self, index: &Path) -> Result<(), ModelError> {
        let Index { weight_map } = files::read_json(index)?;
        let names: BTreeSet<&String> = weight_map.values().collect();
        for name in names {
            let mut parts = Path::new(name).components();
            if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
                let message = format!("weight_map names {name:?}, which is not a file in its folder");
                return Err(ModelError::file(index, message));
            }
            let path = self.folder.join(name);
            let file = File::open(&path).map_err(ModelError::io(&path))?;
            self.add(&path, &file)?;
        }
        for (name, file) in &weight_map {
            match self.tensors.get(name) {
                Some(&shard) if self.shards[shard].path.ends_with(file) => {}
                _ => return Err(ModelError::file(index, format!("tensor {name} is not in {file}"))),
            }
        }
        Ok(())
    }

    /// Takes a wrapper's prefix off the names, if every name has it.
    fn unwrap_names(&mut self) {
        let is_wrapped = |prefix: &str, names: &BTreeMap<String, usize>| {
            !names.is_empty() && names.keys().all(|name| name.len() > prefix.len() && name.starts_with(prefix))
        };
        while let Some(wrapper) = WRAPPERS.iter().find(|wrapper| is_wrapped(wrapper, &self.tensors)) {
            self.prefix += wrapper;
            let names = std::mem::take(&mut self.tensors).into_iter();
            self.tensors = names.map(|(name, shard)| (name[wrapper.len()..].to_owned(), shard)).collect();
        }
    }

    fn add(&mut self, path: &Path, file: &File) -> Result<(), ModelError> {
        // SAFETY: the map is only read. Another process that truncates the file meanwhile would stop this one with
        // SIGBUS, as for every program that maps its weights; downloads take their final name only when complete.
        let map = unsafe { Mmap::map(file) }.map_err(ModelError::io(path))?;
        files::refuse_pointer(path, &map)?;
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
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<MappedTensor, ModelError> {
        self.take_any(name, shape)?.checked_float(name)
    }

    /// Takes the tensor `name`, whose shape and dtype [`check`](Self::check) has found right.
    ///
    /// # Errors
    /// It is missing, or was taken before.
    pub(crate) fn take_checked(&mut self, name: &str) -> Result<MappedTensor, ModelError> {
        let shape = self.find(name).map(|stored| stored.shape).unwrap_or_default();
        self.take_any(name, &shape)
    }

    /// Whether the tensor `name` is stored in eight bits, and left.
    pub(crate) fn is_in_eight_bits(&self, name: &str) -> bool {
        self.find(name).is_some_and(|stored| stored.dtype == Dtype::I8)
    }

    /// The tensor `name`, if it is there and left.
    fn find(&self, name: &str) -> Option<MappedTensor> {
        let shard = &self.shards[*self.tensors.get(name)?];
        let info = shard.metadata.info(&[&self.prefix, name].concat())?;
        let (start, end) = (shard.data + info.data_offsets.0, shard.data + info.data_offsets.1);
        Some(MappedTensor { start, end, dtype: info.dtype, shape: info.shape.clone(), shard: shard.clone() })
    }

    fn find_of_shape(&self, name: &str, shape: &[usize]) -> Result<MappedTensor, ModelError> {
        let missing = || ModelError::MissingTensor { name: name.to_owned(), folder: self.folder.clone() };
        let stored = self.find(name).ok_or_else(missing)?;
        if stored.shape != shape {
            let (file, expected, found) = (stored.shard.path.clone(), shape.to_vec(), stored.shape);
            return Err(ModelError::Shape { name: name.to_owned(), file, expected, found });
        }
        Ok(stored)
    }

    fn take_any(&mut self, name: &str, shape: &[usize]) -> Result<MappedTensor, ModelError> {
        let stored = self.find_of_shape(name, shape)?;
        self.tensors.remove(name);
        Ok(stored)
    }

    fn unexpected(&self, names: &[&String]) -> Option<ModelError> {
        let (first, others) = names.split_first()?;
        let file = self.shards[self.tensors[*first]].path.clone();
        Some(ModelError::UnexpectedTensor { name: (*first).clone(), file, others: others.len() })
    }

    /// Ends the loading: nothing may be left that the config did not call for.
    ///
    /// # Errors
    /// Some tensor was never taken; the error names it.
    pub fn finish(self) -> Result<(), ModelError> {
        match self.unexpected(&self.tensors.keys().collect::<Vec<_>>()) {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Every tensor that is left: name, dtype and shape, by name.
    pub fn list(&self) -> impl Iterator<Item = (&str, Dtype, Vec<usize>)> {
        self.tensors.keys().filter_map(|name| {
            let MappedTensor { dtype, shape, .. } = self.find(name)?;
            Some((name.as_str(), dtype, shape))
        })
    }

    /// Bytes of all shards together.
    pub fn file_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.map.len() as u64).sum()
    }
}
