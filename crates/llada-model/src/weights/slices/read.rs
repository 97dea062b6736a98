//! The reading of slices: which rows of a tensor they are, and that they are all of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use safetensors::Dtype;

use super::{Place, READ_VERSION, SHARDING, VERSION, is_slice};
use crate::{
    ModelError,
    folder::file_names,
    weights::{MappedTensor, SINGLE, Weights},
};

/// Rows of a tensor that follow each other.
#[derive(Debug)]
pub(crate) struct Slice {
    /// The row of the whole tensor with which they begin.
    pub(crate) first_row: usize,
    /// The rows.
    pub(crate) stored: MappedTensor,
}

/// The tensors in a folder that have not been taken yet, each whole or in slices.
#[derive(Debug)]
pub(crate) struct SlicedWeights {
    folder: PathBuf,
    pub(super) slices: BTreeMap<String, Vec<Slice>>,
}

impl SlicedWeights {
    /// Maps the files of `folder`: those of [`Weights::open`], or the slices if there is no `model.safetensors`.
    pub(crate) fn open(folder: &Path) -> Result<Self, ModelError> {
        let mut weights = Self { folder: folder.to_owned(), slices: BTreeMap::new() };
        let mut files = Vec::new();
        if !folder.join(SINGLE).exists() {
            files = file_names(folder).map_err(ModelError::io(folder))?;
            files.retain(|name| is_slice(name));
        }
        if files.is_empty() {
            for (name, stored) in Weights::open(folder)?.mapped() {
                weights.slices.insert(name.to_owned(), vec![Slice { first_row: 0, stored }]);
            }
            return Ok(weights);
        }
        for file in files {
            weights.add(&folder.join(file))?;
        }
        for slices in weights.slices.values_mut() {
            slices.sort_by_key(|slice| slice.first_row);
        }
        Ok(weights)
    }

    /// Adds the slices of the file `path`.
    fn add(&mut self, path: &Path) -> Result<(), ModelError> {
        let refuse = |message: String| Err(ModelError::file(path, message));
        let weights = Weights::of_file(path, "")?;
        let metadata = weights.shards.iter().find_map(|shard| shard.metadata.metadata().as_ref());
        let value = |key| metadata.and_then(|metadata| metadata.get(key)).map(String::as_str);
        if value(VERSION).is_none_or(|version| version != READ_VERSION) {
            return refuse(format!("{VERSION} is {}, and {READ_VERSION} is read", value(VERSION).unwrap_or("missing")));
        }
        let places = value(SHARDING).unwrap_or_default();
        let mut places: BTreeMap<String, Place> =
            serde_json::from_str(places).map_err(|e| ModelError::file(path, format!("{SHARDING}: {e}")))?;
        for (name, stored) in weights.mapped() {
            let Some(Place { saved_offsets }) = places.remove(name) else {
                return refuse(format!("{SHARDING} does not say where tensor {name} begins"));
            };
            let [first_row, columns @ ..] = saved_offsets.as_slice() else {
                return refuse(format!("tensor {name} has no rows to divide"));
            };
            if saved_offsets.len() != stored.shape.len() || columns.iter().any(|offset| *offset != 0) {
                let shape = stored.shape;
                return refuse(format!("tensor {name} of shape {shape:?} begins at {saved_offsets:?}, not at a row"));
            }
            if first_row.checked_add(stored.shape[0]).is_none() {
                return refuse(format!("tensor {name} begins at row {first_row}, which no tensor has"));
            }
            self.slices.entry(name.to_owned()).or_default().push(Slice { first_row: *first_row, stored });
        }
        Ok(())
    }

    /// Takes the slices of the tensor `name`, which must have the shape `shape`, in the order of their rows.
    ///
    /// # Errors
    /// Rows are missing or in two slices; the tensor is missing, has another shape, or is stored in a dtype other than
    /// f32 or bf16.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<Slice>, ModelError> {
        let missing = || ModelError::MissingTensor { name: name.to_owned(), folder: self.folder.clone() };
        let slices = self.slices.remove(name).ok_or_else(missing)?;
        covering(&self.folder, name, shape, slices)
    }

    /// Checks that no tensor remains.
    pub(crate) fn finish(self) -> Result<(), ModelError> {
        let mut left = self.slices.into_iter();
        let Some((name, slices)) = left.next() else { return Ok(()) };
        let file = slices.first().map_or(self.folder, |slice| slice.stored.path().to_owned());
        Err(ModelError::UnexpectedTensor { name, file, others: left.len() })
    }
}

/// Returns `slices`, which are sorted, if they are all rows of a tensor of the shape `shape`, each once.
pub(super) fn covering(
    folder: &Path,
    name: &str,
    shape: &[usize],
    slices: Vec<Slice>,
) -> Result<Vec<Slice>, ModelError> {
    let (mut covered, rows, count) = (0, shape.first().copied().unwrap_or(1), slices.len());
    let mut dtype: Option<Dtype> = None;
    let mut checked = Vec::with_capacity(count);
    for Slice { first_row, stored } in slices {
        let stored = stored.checked_float(name)?;
        let path = stored.path().to_owned();
        let refuse = |message: String| Err(ModelError::file(&path, format!("tensor {name}: {message}")));
        let own_rows = stored.shape.first().copied().unwrap_or(1);
        if stored.shape.get(1..) != shape.get(1..) || first_row + own_rows > rows {
            if count > 1 {
                let found = stored.shape;
                return refuse(format!("{found:?} from row {first_row} on is not of a whole of shape {shape:?}"));
            }
            let (name, found) = (name.to_owned(), whole_shape(first_row, &stored.shape));
            return Err(ModelError::Shape { name, file: path, expected: shape.to_vec(), found });
        }
        if first_row > covered {
            return refuse(format!("rows {covered} to {} are in no slice", first_row - 1));
        }
        if first_row < covered {
            return refuse(format!("row {first_row} is in another slice too"));
        }
        if *dtype.get_or_insert(stored.dtype) != stored.dtype {
            return refuse(format!("it is stored as {:?}, and as another dtype in another slice", stored.dtype));
        }
        covered += own_rows;
        checked.push(Slice { first_row, stored });
    }
    if covered == rows {
        return Ok(checked);
    }
    Err(ModelError::file(folder, format!("tensor {name}: rows {covered} to {} are in no slice", rows - 1)))
}

/// Returns the shape of a tensor that ends where a slice of this shape does.
pub(super) fn whole_shape(first_row: usize, slice: &[usize]) -> Vec<usize> {
    let mut shape = slice.to_vec();
    if let Some(rows) = shape.first_mut() {
        *rows += first_row;
    }
    shape
}
