//! Readers of JSON, parquet and CSV files, any of which may be compressed with gzip.
//!
//! Parquet, gzip and JSON files are recognised by their first bytes, CSV files by their name. A byte order mark at the
//! beginning is ignored.

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

/// Reads the records of a file, in order: JSONL, one or several JSON objects, an array of objects, parquet, or CSV with a
/// header (`.csv`, or `.tsv` with tabs).
///
/// # Errors
/// If the file cannot be read, is damaged, has no records, or has one that is not an object. A column with an unsupported
/// type is an error only if a benchmark reads it.
pub fn read(path: &Path) -> Result<Vec<Record>, EvalError> {
    let mut bytes = fs::read(path).map_err(|source| EvalError::Io { path: path.to_owned(), source })?;
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

/// Returns the separator of columns if the file is CSV by its name.
fn separator(path: &Path) -> Option<u8> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    match Path::new(name.strip_suffix(".gz").unwrap_or(&name)).extension()?.to_str()? {
        "csv" => Some(b','),
        "tsv" => Some(b'\t'),
        _ => None,
    }
}
