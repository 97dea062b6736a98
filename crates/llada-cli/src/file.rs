//! Files that appear whole or not at all.

use std::{io::Write, path::Path};

use anyhow::Context;
use tempfile::NamedTempFile;

/// Writes to a temporary sibling of `path`, then gives it its name.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut NamedTempFile) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let named = || format!("cannot write {}", path.display());
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::new_in(folder).with_context(named)?;
    write(&mut file).with_context(named)?;
    file.flush().with_context(named)?;
    file.persist(path).map_err(|failed| failed.error).with_context(named)?;
    Ok(())
}
