//! Reading of text files, and atomic writing of output files.

use std::{fs, fs::File, path::Path};

use anyhow::Context;
use llada_model::atomic;

use crate::exit::usage;

/// Reads a text file, without the byte order mark that some programs put before it.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|e| usage(format!("{}: not UTF-8: {e}", path.display())))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Checks that a file can be created beside `path`, before work is done whose result it is to hold.
pub(crate) fn check_writable(path: &Path) -> anyhow::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    tempfile::tempfile_in(folder).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// Creates or replaces the file at `path` with what `write` writes, once all of it is written.
pub(crate) fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> anyhow::Result<()>) -> anyhow::Result<()> {
    atomic::replace_file(path, |temporary| {
        let written = File::create(temporary).map_err(anyhow::Error::from).and_then(|mut file| write(&mut file));
        written.with_context(|| format!("cannot write {}", path.display()))
    })
}
