//! Parquet files: their row groups, and the records of one as JSON.

use std::{fs::File, path::Path, sync::Arc};

use llada_model::guarded;
use parquet::{
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader, SerializedFileReader},
    },
    record::{Field, Row, reader::RowIter},
    schema::types::Type,
};
use serde_json::{Map, Value};

use crate::TrainError;

/// How the files begin.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// The number of rows that a file of any size may have. A file with more must have a byte a row, because a damaged file
/// of a few bytes can claim more rows than memory holds.
const ROWS: u64 = 1 << 22;

/// The most bytes of text that a row group may have once it is decoded. In the file it may be far smaller, because a
/// value that is repeated is stored once.
const LARGEST: usize = 1 << 30;

/// A row group, as the footer describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowGroup {
    pub(super) rows: usize,
    /// The number of bytes of its values.
    pub(super) bytes: u64,
}

/// What the footer of a file says.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) columns: Vec<String>,
    pub(super) groups: Vec<RowGroup>,
}

/// Reads the footer of `path`.
pub(super) fn footer(path: &Path) -> Result<Footer, TrainError> {
    let length = std::fs::metadata(path).map_err(TrainError::read(path))?.len();
    within(path, || {
        let file = SerializedFileReader::new(open(path)?)?;
        let metadata = file.metadata();
        let columns = metadata.file_metadata().schema().get_fields();
        Ok(Footer {
            columns: columns.iter().map(|column| column.name().to_owned()).collect(),
            groups: groups(metadata, length)?,
        })
    })
}

/// Reads these columns of the records of a row group of `path`, as far as they are there.
pub(super) fn records(path: &Path, group: usize, columns: &[&str]) -> Result<Vec<Value>, TrainError> {
    within(path, || {
        let file = SerializedFileReader::new(open(path)?)?;
        let schema = file.metadata().file_metadata().schema();
        let read = schema.get_fields().iter().filter(|column| columns.contains(&column.name()));
        let projection = Type::group_type_builder(schema.name()).with_fields(read.map(Arc::clone).collect()).build()?;
        let rows = file.get_row_group(group)?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        for row in RowIter::from_row_group(Some(projection), rows.as_ref())? {
            let record = object(&row?);
            bytes += text_bytes(&record);
            if bytes > LARGEST {
                let message = format!("row group {group} has more than {LARGEST} bytes of text: write smaller ones");
                return Err(ParquetError::General(message));
            }
            records.push(record);
        }
        Ok(records)
    })
}

/// Runs `work` on `path`. The reader panics on some damaged files.
fn within<T>(path: &Path, work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, TrainError> {
    let result = guarded(&path.display().to_string(), work)?;
    result.map_err(|error| TrainError::Parquet { path: path.to_owned(), message: error.to_string() })
}

fn open(path: &Path) -> Result<File, ParquetError> {
    Ok(File::open(path)?)
}

fn groups(metadata: &ParquetMetaData, length: u64) -> Result<Vec<RowGroup>, ParquetError> {
    let (mut groups, mut total) = (Vec::new(), 0_u64);
    for group in metadata.row_groups() {
        let (rows, bytes) = (u64::try_from(group.num_rows()), u64::try_from(group.total_byte_size()));
        let (Ok(rows), Ok(bytes)) = (rows, bytes) else {
            return Err(ParquetError::General("a row group of less than no rows".to_owned()));
        };
        total = total.saturating_add(rows);
        if total > ROWS.max(length) {
            return Err(ParquetError::General(format!("{length} bytes claim {total} rows")));
        }
        groups.push(RowGroup { rows: rows as usize, bytes });
    }
    Ok(groups)
}

fn object(row: &Row) -> Value {
    let columns: Map<String, Value> = row.get_column_iter().map(|(name, field)| (name.clone(), json(field))).collect();
    columns.into()
}

/// The number of bytes of the texts in a value, at least one a value.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len().max(1),
        Value::Array(values) => values.iter().map(text_bytes).sum::<usize>() + 1,
        Value::Object(columns) => columns.values().map(text_bytes).sum::<usize>() + 1,
        _ => 1,
    }
}

/// A value as JSON. What has no place in a conversation is null.
fn json(field: &Field) -> Value {
    match field {
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
        Field::Str(text) => text.as_str().into(),
        // Text whose column does not say so.
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Value::Null, Value::from),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(json).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, value)| match key {
                Field::Str(key) => (key.clone(), json(value)),
                key => (key.to_string(), json(value)),
            });
            entries.collect::<Map<String, Value>>().into()
        }
        _ => Value::Null,
    }
}
