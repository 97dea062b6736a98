//! Reading of text and JSON files, and writing of JSON and safetensors files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use safetensors::{
    Dtype,
    tensor::{TensorInfo, TensorView},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{ModelError, atomic::replace_file};

/// The beginning of a git-lfs pointer, which stands for a file that git keeps elsewhere.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Refuses the bytes of a git-lfs pointer.
pub(crate) fn refuse_pointer(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    if bytes.starts_with(POINTER) { Err(ModelError::Pointer { path: path.to_owned() }) } else { Ok(()) }
}

/// Reads a text file, without its byte order mark.
pub(crate) fn read_text(path: &Path) -> Result<String, ModelError> {
    let bytes = fs::read(path).map_err(ModelError::io(path))?;
    refuse_pointer(path, &bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| ModelError::file(path, "not UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Reads a JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    serde_json::from_str(&read_text(path)?).map_err(|e| ModelError::file(path, e))
}

/// Writes a JSON file atomically, with one key per line.
pub(crate) fn write_json(path: &Path, value: &Value) -> Result<(), ModelError> {
    replace_file(path, |temporary| fs::write(temporary, format!("{value:#}\n")).map_err(ModelError::write(path)))
}

/// The name, dtype and shape of a tensor that is written.
pub(crate) struct TensorHead {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
}

/// The header of a safetensors file.
#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    tensors: BTreeMap<&'a str, TensorInfo>,
}

/// Writes a safetensors file atomically, from tensors with their names.
pub(crate) fn write_safetensors<N: Into<String>>(
    path: &Path,
    tensors: Vec<(N, TensorView<'_>)>,
) -> Result<(), ModelError> {
    write_safetensors_with(path, BTreeMap::new(), with_heads(tensors), |view, out| out.write_all(view.data()))
}

/// Returns tensors with what the header says of them.
pub(crate) fn with_heads<'a, N: Into<String>>(tensors: Vec<(N, TensorView<'a>)>) -> Vec<(TensorHead, TensorView<'a>)> {
    let head = |name: N, view: &TensorView<'_>| TensorHead {
        name: name.into(),
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
    };
    tensors.into_iter().map(|(name, view)| (head(name, &view), view)).collect()
}

/// Writes a safetensors file atomically, with `metadata` beside the format. `write` writes the bytes of a tensor, so that
/// they need not be in memory at once. The same tensors make the same file, which safetensors' own writer does not
/// promise: its metadata are in the order of a hash map.
pub(crate) fn write_safetensors_with<T>(
    path: &Path,
    mut metadata: BTreeMap<&'static str, String>,
    mut tensors: Vec<(TensorHead, T)>,
    mut write: impl FnMut(T, &mut dyn Write) -> io::Result<()>,
) -> Result<(), ModelError> {
    // The order of safetensors' own writer, by which tensors are aligned for their dtypes.
    tensors.sort_by(|(a, _), (b, _)| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
    metadata.insert("format", "pt".to_owned());
    let mut header = Header { metadata, tensors: BTreeMap::new() };
    let mut end = 0;
    for (TensorHead { name, dtype, shape }, _) in &tensors {
        let start = end;
        let numbers = shape.iter().try_fold(dtype.bitsize(), |product, size| product.checked_mul(*size));
        end += numbers.ok_or_else(|| ModelError::file(path, format!("tensor {name} is too large")))? / 8;
        let info = TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets: (start, end) };
        header.tensors.insert(name, info);
    }
    let mut header = serde_json::to_vec(&header).map_err(|e| ModelError::file(path, e))?;
    header.resize(header.len().next_multiple_of(size_of::<u64>()), b' ');
    replace_file(path, |temporary| {
        let file = File::create(temporary).map_err(ModelError::write(path))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let mut written = out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(&header));
        for (_, tensor) in tensors {
            written = written.and_then(|()| write(tensor, &mut out));
        }
        written.and_then(|()| out.flush()).map_err(ModelError::write(path))
    })
}
