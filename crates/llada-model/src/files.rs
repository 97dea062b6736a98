//! Writing so that a name never stands for half a file.

use std::{fs, io, path::Path};

use safetensors::tensor::TensorView;
use serde_json::Value;

use crate::ModelError;

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
