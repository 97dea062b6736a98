//! A mapped file: the header, the keys, the tensors.

use std::{
    collections::BTreeMap,
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
};

use memmap2::Mmap;

use crate::{GgmlType, GgufError, Value, cursor::Cursor, dequantize::dequantize, metadata};

const MAGIC: &[u8; 4] = b"GGUF";

/// The boundary at which tensors start where `general.alignment` does not say.
const ALIGNMENT: u64 = 32;

/// The most dimensions of a tensor in ggml.
const MOST_DIMENSIONS: u32 = 4;

/// A key in front of its value: the length of its name, and the types.
const LEAST_KEY: usize = 8 + 4 + 1;

/// A tensor's name, number of dimensions, type and offset.
const LEAST_TENSOR: usize = 8 + 4 + 4 + 8;

/// A GGUF file, or the files that one model is split into, mapped into memory.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    maps: Vec<Mmap>,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
}

/// How a tensor is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// The name of its type, or the number where it is none of [`GgmlType`]: such a tensor cannot be read.
    pub dtype: String,
    /// The sizes of the dimensions, the slowest first: (out, in) for a linear layer. The file lists them the other way.
    pub shape: Vec<usize>,
    /// Its place, if it can be read.
    stored: Option<Stored>,
}

/// Where the values of a tensor are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    dtype: GgmlType,
    /// The index of the map.
    map: usize,
    bytes: Range<usize>,
}

/// What is in front of the tensors.
struct Head {
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl Gguf {
    /// Maps the file at `path`, and reads the metadata and how each tensor is stored. If it is a part of a model that is
    /// split into several files (`model-00001-of-00003.gguf`), the other parts beside it are mapped too, and they are one
    /// model with the keys of the first.
    ///
    /// # Errors
    /// The file cannot be read, is no GGUF file of version 2 or 3 or a damaged one, or two keys or tensors have one name; a
    /// part is missing, or is not the one that its name says.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        Self::open_alone(path)?.joined()
    }

    /// Maps one file.
    pub(crate) fn open_alone(path: &Path) -> Result<Self, GgufError> {
        let io = |source| GgufError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        // SAFETY: the map is only read. Another process that truncates the file meanwhile would stop this one with
        // SIGBUS, as for every program that maps its weights.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let head = Head::read(&map).map_err(|message| GgufError::File { path: path.to_owned(), message })?;
        Ok(Self { path: path.to_owned(), maps: vec![map], metadata: head.metadata, tensors: head.tensors })
    }

    /// Adds the tensors of another part.
    pub(crate) fn add(mut self, part: Self) -> Result<Self, GgufError> {
        let before = self.maps.len();
        self.maps.extend(part.maps);
        for (name, mut info) in part.tensors {
            if self.tensors.contains_key(&name) {
                let message = format!("{} has it too", self.path.display());
                return Err(GgufError::Tensor { path: part.path, name, message });
            }
            info.stored.iter_mut().for_each(|stored| stored.map += before);
            self.tensors.insert(name, info);
        }
        Ok(self)
    }

    /// Returns the path of the file, or of the first of several.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the value of a key, if the file has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// Returns the names of all keys, in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.metadata.keys().map(String::as_str)
    }

    /// Returns what `kind` makes of the value of a key, or none if the file does not have the key.
    ///
    /// # Errors
    /// `kind` makes nothing of the value: it is not `wanted`.
    pub fn optional<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        kind: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, GgufError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        kind(value).map(Some).ok_or_else(|| self.key_error(key, format!("its value is not {wanted}")))
    }

    /// Returns an integer that is not negative, or none if the file does not have the key.
    ///
    /// # Errors
    /// The value is something else.
    pub fn unsigned(&self, key: &str) -> Result<Option<u64>, GgufError> {
        self.optional(key, "a whole number", Value::unsigned)
    }

    /// Returns a float, or none if the file does not have the key.
    ///
    /// # Errors
    /// The value is something else.
    pub fn float(&self, key: &str) -> Result<Option<f64>, GgufError> {
        self.optional(key, "a float", Value::float)
    }

    /// Returns a truth value, or none if the file does not have the key.
    ///
    /// # Errors
    /// The value is something else.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, GgufError> {
        self.optional(key, "a truth value", Value::bool)
    }

    /// Returns a text, or none if the file does not have the key.
    ///
    /// # Errors
    /// The value is something else.
    pub fn text(&self, key: &str) -> Result<Option<&str>, GgufError> {
        self.optional(key, "a text", Value::text)
    }

    /// Returns a list, each value as `kind` makes it, or none if the file does not have the key.
    ///
    /// # Errors
    /// The value is no list, or `kind` makes nothing of one of its values.
    pub fn list<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        kind: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, GgufError> {
        self.optional(key, wanted, |value| value.list()?.iter().map(kind).collect())
    }

    /// Returns the error that the value of `key` is wrong.
    pub fn key_error(&self, key: &str, message: impl Into<String>) -> GgufError {
        GgufError::Key { path: self.path.clone(), key: key.to_owned(), message: message.into() }
    }

    /// Returns the names of all tensors, in alphabetical order, and how they are stored.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors.iter().map(|(name, info)| (name.as_str(), info))
    }

    /// Returns how a tensor is stored, if the file has it.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// Returns the values of a tensor, row-major.
    ///
    /// # Errors
    /// The file does not have the tensor, or stores it in a type that is not read.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, GgufError> {
        let (path, name) = (self.path.clone(), name.to_owned());
        let Some(info) = self.tensors.get(&name) else {
            return Err(GgufError::Tensor { path, name, message: "the file does not have it".to_owned() });
        };
        let Some(Stored { dtype, map, bytes }) = &info.stored else {
            return Err(GgufError::StoredType { path, name, dtype: info.dtype.clone() });
        };
        let mut values = Vec::with_capacity(bytes.len() / dtype.block_bytes() * dtype.block_length());
        dequantize(*dtype, &self.maps[*map][bytes.clone()], &mut values);
        Ok(values)
    }
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut cursor = Cursor::new(bytes);
        let magic: [u8; 4] = cursor.array("the file's type")?;
        if &magic != MAGIC {
            return Err("not a GGUF file".to_owned());
        }
        let version = cursor.u32("the version")?;
        if !(2..=3).contains(&version) {
            let is_swapped = (2..=3).contains(&version.swap_bytes());
            let order = if is_swapped { ", in big-endian byte order" } else { "" };
            let version = if is_swapped { version.swap_bytes() } else { version };
            return Err(format!("version {version} of GGUF{order}, which is not read"));
        }
        let tensor_count = cursor.count(LEAST_TENSOR, "the number of tensors")?;
        let key_count = cursor.count(LEAST_KEY, "the number of keys")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..key_count {
            let key = cursor.text("a key")?;
            let value = metadata::read(&mut cursor).map_err(|message| format!("{key}: {message}"))?;
            if metadata.insert(key.to_owned(), value).is_some() {
                return Err(format!("{key}: the key is there twice"));
            }
        }
        let tensors = read_tensors(bytes, cursor, tensor_count, alignment(&metadata)?)?;
        Ok(Self { metadata, tensors })
    }
}

fn alignment(metadata: &BTreeMap<String, Value>) -> Result<u64, String> {
    let Some(value) = metadata.get("general.alignment") else { return Ok(ALIGNMENT) };
    let is_valid = |alignment: &u64| *alignment > 0 && alignment.is_multiple_of(8) && *alignment <= 1 << 20;
    let alignment = value.unsigned().filter(is_valid);
    alignment.ok_or_else(|| format!("general.alignment: {value:?} is not a multiple of 8"))
}

/// Where a tensor is, before it is known where tensors start.
struct Listed<'a> {
    name: &'a str,
    shape: Vec<usize>,
    number: u32,
    offset: u64,
}

fn read_tensors(
    bytes: &[u8],
    mut cursor: Cursor<'_>,
    count: usize,
    alignment: u64,
) -> Result<BTreeMap<String, TensorInfo>, String> {
    let mut listed = Vec::with_capacity(count);
    for _ in 0..count {
        listed.push(Listed::read(&mut cursor)?);
    }
    let start = (cursor.position() as u64).next_multiple_of(alignment);
    let mut tensors = BTreeMap::new();
    for tensor in listed {
        let name = tensor.name;
        let info = tensor.locate(bytes.len() as u64, start, alignment);
        let info = info.map_err(|message| format!("tensor {name}: {message}"))?;
        if tensors.insert(name.to_owned(), info).is_some() {
            return Err(format!("tensor {name}: the name is there twice"));
        }
    }
    Ok(tensors)
}

impl<'a> Listed<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, String> {
        let name = cursor.text("a tensor's name")?;
        let of_tensor = |message: String| format!("tensor {name}: {message}");
        let dimensions = cursor.u32("its number of dimensions").map_err(of_tensor)?;
        if dimensions > MOST_DIMENSIONS {
            return Err(of_tensor(format!("{dimensions} dimensions, which is more than {MOST_DIMENSIONS}")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let size = cursor.u64("a dimension").map_err(of_tensor)?;
            shape.push(usize::try_from(size).map_err(|_| of_tensor(format!("a dimension of {size}")))?);
        }
        shape.reverse();
        let number = cursor.u32("its type").map_err(of_tensor)?;
        let offset = cursor.u64("its offset").map_err(of_tensor)?;
        Ok(Self { name, shape, number, offset })
    }

    /// Checks that its bytes are in the file.
    fn locate(self, file: u64, start: u64, alignment: u64) -> Result<TensorInfo, String> {
        let Self { shape, number, offset, .. } = self;
        let Some(dtype) = GgmlType::of_number(number) else {
            return Ok(TensorInfo { dtype: format!("type {number} of ggml"), shape, stored: None });
        };
        let (length, block) = (dtype.block_length(), dtype.block_bytes() as u64);
        let row = shape.last().copied().unwrap_or(1);
        if !row.is_multiple_of(length) {
            return Err(format!("rows of {row} are not whole blocks of {length}, as {dtype} has them"));
        }
        if !offset.is_multiple_of(alignment) {
            return Err(format!("its offset {offset} is not a multiple of {alignment}"));
        }
        let values = shape.iter().try_fold(1, |product: u64, &size| product.checked_mul(size as u64));
        let bytes = values.and_then(|values| (values / length as u64).checked_mul(block));
        let range = bytes.and_then(|bytes| {
            let first = start.checked_add(offset)?;
            Some((first, first.checked_add(bytes)?))
        });
        match range.filter(|&(_, end)| end <= file) {
            // Both ends are within the mapped file.
            Some((first, end)) => {
                let stored = Stored { dtype, map: 0, bytes: first as usize..end as usize };
                Ok(TensorInfo { dtype: dtype.to_string(), shape, stored: Some(stored) })
            }
            None => Err(format!("its {shape:?} values of {dtype} at offset {offset} end beyond the file")),
        }
    }
}
