//! Text that is read, and files that appear whole or not at all.

use std::{fs, fs::Permissions, io::Write, os::unix::fs::PermissionsExt, path::Path};

use anyhow::Context;
use tempfile::NamedTempFile;

use crate::exit::usage;

/// The text of `path`, without the byte order mark that some programs begin a file with.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|e| usage(format!("{}: not UTF-8: {e}", path.display())))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Sees whether `path` can be written, before work is done whose result it is to hold.
pub(crate) fn check_writable(path: &Path) -> anyhow::Result<()> {
    tempfile::tempfile_in(folder(path)).with_context(|| format!("cannot write {}", path.display())).map(drop)
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes to a temporary sibling of `path`, then gives it its name.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut NamedTempFile) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let named = || format!("cannot write {}", path.display());
    // Readable as any new file: what is left of these permissions is the user's umask.
    let permissions = Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(folder(path)).with_context(named)?;
    write(&mut file).with_context(named)?;
    file.flush().with_context(named)?;
    file.persist(path).map_err(|failed| failed.error).with_context(named)?;
    Ok(())
}
