//! Writing so that a name never stands for half a file.

use std::{fs, io, path::Path};

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
