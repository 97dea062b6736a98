//! Records out of files: JSON, parquet and CSV, each of them also compressed with gzip.
//!
//! Parquet, gzip and JSON are told by how a file begins, CSV by its name. A byte order mark at the beginning is nothing.

mod csv;
mod guard;
mod json;
mod parquet;

use std::{
    fs,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use flate2::read::MultiGzDecoder;

use crate::{EvalError, Record};

const GZIP: &[u8] = &[0x1f, 0x8b];
const PARQUET: &[u8] = b"PAR1";
const UTF_8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
const UTF_16_MARKS: [&[u8]; 2] = [&[0xff, 0xfe], &[0xfe, 0xff]];

/// The records of a file, in its order: of JSONL, of one JSON object or an array of such, of parquet, or of CSV with a
/// header (`.csv`, or `.tsv` with tabs).
///
/// # Errors
/// The file cannot be read, is damaged, holds no record, or one that is no object. A column whose type no task can use
/// is an error only when a task asks for it.
pub fn read(path: &Path) -> Result<Vec<Record>, EvalError> {
    let failed = |source| EvalError::Io { path: path.to_owned(), source };
    let mut bytes = fs::read(path).map_err(failed)?;
    if bytes.starts_with(GZIP) {
        bytes = inflated(&bytes).map_err(|source| EvalError::Gzip { path: path.to_owned(), source })?;
    }
    let shared: Arc<Path> = path.into();
    let records = if bytes.starts_with(PARQUET) { parquet::read(&shared, bytes)? } else { read_text(&shared, &bytes)? };
    if records.is_empty() {
        return Err(EvalError::Empty { path: path.to_owned() });
    }
    Ok(records)
}

fn inflated(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut inflated = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut inflated)?;
    Ok(inflated)
}

fn read_text(path: &Arc<Path>, bytes: &[u8]) -> Result<Vec<Record>, EvalError> {
    if UTF_16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(EvalError::Utf16 { path: path.to_path_buf() });
    }
    let bytes = bytes.strip_prefix(UTF_8_MARK).unwrap_or(bytes);
    match separator(path) {
        Some(separator) => csv::read(path, bytes, separator),
        None => json::read(path, bytes),
    }
}

/// What parts the columns of a file of this name, if it is CSV.
fn separator(path: &Path) -> Option<u8> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    match Path::new(name.strip_suffix(".gz").unwrap_or(&name)).extension()?.to_str()? {
        "csv" => Some(b','),
        "tsv" => Some(b'\t'),
        _ => None,
    }
}
