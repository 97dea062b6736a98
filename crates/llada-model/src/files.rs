//! Text files that may begin with a byte order mark, and writing so that a name never stands for half a file.

use std::{fs, io, path::Path};

use safetensors::tensor::TensorView;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ModelError;

/// How a file begins that stands for another one, which git keeps elsewhere (git-lfs).
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Refuses the bytes of a pointer that was never replaced by the file that it stands for.
pub(crate) fn refuse_pointer(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    if !bytes.starts_with(POINTER) {
        return Ok(());
    }
    let message = "a git-lfs pointer, not the file that it stands for\n\
        hint: git lfs pull in its folder, or cargo xtask fetch-weights OWNER/NAME";
    Err(ModelError::file(path, message))
}

/// The text of a file, without a byte order mark.
pub(crate) fn read_text(path: &Path) -> Result<String, ModelError> {
    let bytes = fs::read(path).map_err(ModelError::io(path))?;
    refuse_pointer(path, &bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| ModelError::file(path, "not UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// What a JSON file holds.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    serde_json::from_str(&read_text(path)?).map_err(|e| ModelError::file(path, e))
}

/// Has `write` make a temporary sibling of `path`, which then takes its name.
///
/// # Errors
/// Writing, or renaming, fails; the sibling is removed, and what `path` was before remains.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), ModelError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let written = write(temporary)
        .and_then(|()| fs::File::open(temporary)?.sync_all())
        .and_then(|()| fs::rename(temporary, path));
    written.map_err(|source| {
        // Best effort: the first error is the one to tell.
        drop(fs::remove_file(temporary));
        ModelError::Write { path: path.to_owned(), source }
    })
}

/// [`replace`] with JSON, a key a line.
pub(crate) fn write_json(path: &Path, value: &Value) -> Result<(), ModelError> {
    replace(path, |temporary| fs::write(temporary, format!("{value:#}\n")))
}

/// [`replace`] with tensors by name.
pub(crate) fn write_safetensors(
    path: &Path,
    tensors: Vec<(impl AsRef<str> + Ord + std::fmt::Display, TensorView<'_>)>,
) -> Result<(), ModelError> {
    let format = [("format".to_owned(), "pt".to_owned())].into();
    replace(path, |temporary| {
        // What safetensors writes is its owner's alone; a checkpoint is readable as any new file.
        let permissions = fs::File::create(temporary)?.metadata()?.permissions();
        safetensors::serialize_to_file(tensors, Some(format), temporary).map_err(io::Error::other)?;
        fs::set_permissions(temporary, permissions)
    })
}
