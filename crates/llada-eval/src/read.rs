//! Records out of files: JSONL, a JSON array, or parquet, told apart by how a file begins.

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};
use serde_json::{Map, Value};

use crate::{EvalError, Record};

const PARQUET: &[u8] = b"PAR1";
/// What some programs write at the beginning of a file to say that it is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The records of a file, in its order.
///
/// # Errors
/// The file cannot be read, holds no record, or one that is no object.
pub fn read(path: &Path) -> Result<Vec<Record>, EvalError> {
    let bytes = fs::read(path).map_err(|source| EvalError::Io { path: path.to_owned(), source })?;
    let shared: Arc<Path> = path.into();
    let records = if bytes.starts_with(PARQUET) {
        drop(bytes);
        read_parquet(&shared)?
    } else {
        read_json(&shared, bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes))?
    };
    if records.is_empty() {
        return Err(EvalError::Empty { path: path.to_owned() });
    }
    Ok(records)
}

fn read_json(path: &Arc<Path>, bytes: &[u8]) -> Result<Vec<Record>, EvalError> {
    let failed = |row| move |source| EvalError::Json { path: path.to_path_buf(), row, source };
    if bytes.trim_ascii_start().starts_with(b"[") {
        let rows: Vec<Map<String, Value>> =
            serde_json::from_slice(bytes).map_err(|error| failed(error.line())(error))?;
        return Ok((1..).zip(rows).map(|(row, values)| Record::new(values, path, row)).collect());
    }
    (1..)
        .zip(bytes.split(|&byte| byte == b'\n'))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(row, line)| Ok(Record::new(serde_json::from_slice(line).map_err(failed(row))?, path, row)))
        .collect()
}

fn read_parquet(path: &Arc<Path>) -> Result<Vec<Record>, EvalError> {
    let failed = |source| EvalError::Parquet { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(|source| EvalError::Io { path: path.to_path_buf(), source })?;
    let reader = SerializedFileReader::new(file).map_err(failed)?;
    let rows = reader.get_row_iter(None).map_err(failed)?;
    (1..).zip(rows).map(|(row, values)| Ok(Record::new(object(&values.map_err(failed)?), path, row))).collect()
}

fn object(row: &Row) -> Map<String, Value> {
    row.get_column_iter().map(|(name, field)| (name.clone(), json(field))).collect()
}

/// A value as JSON has it. What no benchmark's text is made of, such as dates and bytes, becomes its text.
fn json(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Float(value) => (*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(value) => value.as_str().into(),
        Field::Group(row) => object(row).into(),
        Field::ListInternal(list) => list.elements().iter().map(json).collect(),
        other => other.to_string().into(),
    }
}
