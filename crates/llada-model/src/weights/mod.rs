//! The safetensors files of a checkpoint.
//!
//! The files are mapped into memory. All tensors are compared with the config before the first layer is built; then
//! each is taken by name, and none may be left over. A tensor that is used as stored is not copied. A tensor that is
//! converted releases its pages as soon as the copy exists, so that loading never holds the weights twice.

mod check;
mod inv_freq;
mod mapped;
pub(crate) mod role;
pub(crate) mod shards;
pub(crate) mod slices;
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

/// The prefixes that PyTorch's wrappers `DistributedDataParallel` and `torch.compile` add to every name.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// The tensors of a checkpoint that have not been taken yet.
#[derive(Debug)]
pub struct Weights {
    folder: PathBuf,
    shards: Vec<Arc<Shard>>,
    /// The prefix of every name in the files.
    prefix: String,
    /// The indices of the shards by the names of the remaining tensors, without prefix.
    tensors: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    /// The offset of the first tensor in the file, in bytes.
    data: usize,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Maps `model.safetensors`, or the shards that `model.safetensors.index.json` lists if there is no such file. This
    /// is the order of transformers.
    ///
    /// # Errors
    /// A file is missing, unreadable or damaged; the index names a file outside its folder, or a shard lacks a tensor
    /// that the index assigns to it; the folder holds an adapter, or only weights in other formats.
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

    /// Maps one file, every tensor of which has a name that starts with `prefix`. The prefix is removed.
    pub(crate) fn of_file(path: &Path, prefix: &str) -> Result<Self, ModelError> {
        let folder = path.parent().unwrap_or(path).to_owned();
        let mut weights = Self { folder, shards: Vec::new(), prefix: prefix.to_owned(), tensors: BTreeMap::new() };
        weights.add(path, &File::open(path).map_err(ModelError::io(path))?)?;
        let mut tensors = BTreeMap::new();
        for (name, shard) in std::mem::take(&mut weights.tensors) {
            let Some(rest) = name.strip_prefix(prefix) else {
                return Err(ModelError::file(path, format!("the name of tensor {name} does not start with {prefix}")));
            };
            tensors.insert(rest.to_owned(), shard);
        }
        Ok(Self { tensors, ..weights })
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

    /// Removes the prefixes of wrappers from the names, as long as every name has one.
    fn unwrap_names(&mut self) {
        while let Some(wrapper) = WRAPPERS.iter().find(|wrapper| self.every_name_has(wrapper)) {
            self.prefix += wrapper;
            let names = std::mem::take(&mut self.tensors).into_iter();
            self.tensors = names.map(|(name, shard)| (name[wrapper.len()..].to_owned(), shard)).collect();
        }
    }

    fn every_name_has(&self, prefix: &str) -> bool {
        let mut names = self.tensors.keys();
        !self.tensors.is_empty() && names.all(|name| name.len() > prefix.len() && name.starts_with(prefix))
    }

    fn add(&mut self, path: &Path, file: &File) -> Result<(), ModelError> {
        // SAFETY: the map is only read. Another process that truncates the file meanwhile would stop this one with
        // SIGBUS, as for every program that maps its weights; downloads take their final name only when complete.
        let map = unsafe { Mmap::map(file) }.map_err(ModelError::io(path))?;
        files::refuse_pointer(path, &map)?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| {
            ModelError::file_with_advice(path, format!("not a whole safetensors file: {e}"), "fetch the file again")
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

    /// Takes the tensor `name`, which must have the shape `shape`.
    ///
    /// # Errors
    /// The tensor is missing, has another shape, or is stored in a dtype other than f32 or bf16.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<MappedTensor, ModelError> {
        self.take_any(name, shape)?.checked_float(name)
    }

    /// Takes the tensor `name`, whose shape and dtype were checked by [`check`](Self::check).
    ///
    /// # Errors
    /// The tensor is missing or was taken before.
    pub(crate) fn take_checked(&mut self, name: &str) -> Result<MappedTensor, ModelError> {
        let shape = self.find(name).map(|stored| stored.shape).unwrap_or_default();
        self.take_any(name, &shape)
    }

    /// Returns the dtype of the tensor `name` if it remains.
    pub(crate) fn dtype(&self, name: &str) -> Option<Dtype> {
        self.find(name).map(|stored| stored.dtype)
    }

    /// Returns true if the tensor `name` remains and is stored in eight bits.
    pub(crate) fn is_in_eight_bits(&self, name: &str) -> bool {
        self.dtype(name) == Some(Dtype::I8)
    }

    /// Returns the tensor `name` if it remains.
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

    /// Takes the tensor `name`, which must have the shape `shape`, whatever its dtype.
    ///
    /// # Errors
    /// The tensor is missing or has another shape.
    pub(crate) fn take_any(&mut self, name: &str, shape: &[usize]) -> Result<MappedTensor, ModelError> {
        let stored = self.find_of_shape(name, shape)?;
        self.tensors.remove(name);
        Ok(stored)
    }

    fn unexpected(&self, names: &[&String]) -> Option<ModelError> {
        let (first, others) = names.split_first()?;
        let file = self.shards[self.tensors[*first]].path.clone();
        Some(ModelError::UnexpectedTensor { name: (*first).clone(), file, others: others.len() })
    }

    /// Returns the number of the remaining tensors.
    pub(crate) fn count(&self) -> usize {
        self.tensors.len()
    }

    /// Leaves the tensor `name` out, if it is there.
    pub(crate) fn drop_tensor(&mut self, name: &str) {
        self.tensors.remove(name);
    }

    /// Checks that no tensor remains.
    ///
    /// # Errors
    /// A tensor was not taken; the error names it.
    pub fn finish(self) -> Result<(), ModelError> {
        self.nothing_left()
    }

    pub(crate) fn nothing_left(&self) -> Result<(), ModelError> {
        match self.unexpected(&self.tensors.keys().collect::<Vec<_>>()) {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Returns the names, dtypes and shapes of the remaining tensors, sorted by name.
    pub fn list(&self) -> impl Iterator<Item = (&str, Dtype, Vec<usize>)> {
        self.mapped().map(|(name, MappedTensor { dtype, shape, .. })| (name, dtype, shape))
    }

    /// Returns the remaining tensors, whatever their dtypes, sorted by name.
    fn mapped(&self) -> impl Iterator<Item = (&str, MappedTensor)> {
        self.tensors.keys().filter_map(|name| Some((name.as_str(), self.find(name)?)))
    }

    /// Returns the size of all files together, in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.map.len() as u64).sum()
    }
}
