//! Reading of text and JSON files, and writing of JSON and safetensors files.

use std::{fmt::Display, fs, io, path::Path};

use safetensors::tensor::TensorView;
use serde::de::DeserializeOwned;
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

/// Writes a safetensors file atomically, from tensors with their names.
pub(crate) fn write_safetensors<N: AsRef<str> + Ord + Display>(
    path: &Path,
    tensors: Vec<(N, TensorView<'_>)>,
) -> Result<(), ModelError> {
    replace_file(path, |temporary| serialize(temporary, tensors).map_err(ModelError::write(path)))
}

fn serialize<N: AsRef<str> + Ord + Display>(path: &Path, tensors: Vec<(N, TensorView<'_>)>) -> io::Result<()> {
    // safetensors creates files that only their owner can read. A checkpoint gets the permissions of any new file.
    let permissions = fs::File::create(path)?.metadata()?.permissions();
    let format = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(tensors, Some(format), path).map_err(io::Error::other)?;
    fs::set_permissions(path, permissions)
}
