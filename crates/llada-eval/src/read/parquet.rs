//! Parquet files with booleans, numbers, texts, and lists and structures of these. For columns of other types the name of
//! the type is kept, for the error if a benchmark reads them.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use parquet::{
    basic::{ConvertedType, LogicalType, Type as Physical},
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader, SerializedFileReader},
    },
    record::{Field, Row},
    schema::types::{Type, TypePtr},
};
use serde_json::{Map, Value};

use super::guard::guarded;
use crate::{EvalError, Record};

/// The number of rows that a file of any size may have. A file with more rows must have at least one byte per row, because
/// a damaged file of a few bytes can claim more rows than memory holds.
const ROWS: usize = 1 << 22;

/// The names and types of columns that cannot be represented as JSON.
type Foreign = BTreeMap<String, String>;

pub(super) fn read(path: &Arc<Path>, bytes: Vec<u8>) -> Result<Vec<Record>, EvalError> {
    // The reader panics on some damaged files.
    let records = guarded(|| records(path, bytes)).unwrap_or_else(|message| Err(ParquetError::General(message)));
    records.map_err(|source| EvalError::Parquet { path: path.to_path_buf(), source })
}

fn records(path: &Arc<Path>, bytes: Vec<u8>) -> Result<Vec<Record>, ParquetError> {
    let length = bytes.len();
    let file = SerializedFileReader::new(bytes::Bytes::from(bytes))?;
    let rows = count(file.metadata(), length)?;
    let mut foreign = Foreign::new();
    let schema = file.metadata().file_metadata().schema();
    let columns = fields(schema, "", &mut foreign)?;
    let foreign = Arc::new(foreign);
    let mut records = Vec::new();
    if columns.is_empty() {
        // Without readable columns there is nothing to project, but the errors of the records name the types.
        for row in 1..=rows {
            records.push(Record::new(Map::new(), path, row).with_foreign(foreign.clone()));
        }
        return Ok(records);
    }
    let projection = Type::group_type_builder(schema.name()).with_fields(columns).build()?;
    for (row, values) in (1..).zip(file.get_row_iter(Some(projection))?) {
        let mut foreign = foreign.clone();
        let values = object(&values?, "", &mut foreign);
        records.push(Record::new(values, path, row).with_foreign(foreign));
    }
    Ok(records)
}

/// Returns the number of rows.
///
/// # Errors
/// If a file of `length` bytes cannot have so many.
fn count(metadata: &ParquetMetaData, length: usize) -> Result<usize, ParquetError> {
    let most = ROWS.max(length);
    let groups = metadata.row_groups().iter().map(|group| usize::try_from(group.num_rows()).ok());
    let rows = groups.sum::<Option<usize>>().filter(|&rows| rows <= most);
    rows.ok_or_else(|| ParquetError::General(format!("{length} bytes claim more than {most} rows")))
}

/// Returns the readable fields of a structure. The names and types of the others are added to `foreign`.
fn fields(structure: &Type, place: &str, foreign: &mut Foreign) -> Result<Vec<TypePtr>, ParquetError> {
    let mut readable: Vec<TypePtr> = Vec::new();
    for field in structure.get_fields() {
        let name = field.name();
        if readable.iter().any(|other| other.name() == name) {
            return Err(ParquetError::General(format!("two columns are called {name}")));
        }
        readable.extend(readable_part(field, &dotted(place, name), foreign)?);
    }
    Ok(readable)
}

/// Returns the field without the unreadable parts of structures, or `None` if nothing of it is readable.
fn readable_part(field: &TypePtr, column: &str, foreign: &mut Foreign) -> Result<Option<TypePtr>, ParquetError> {
    let info = field.get_basic_info();
    if field.is_primitive() {
        if is_readable(field) {
            return Ok(Some(field.clone()));
        }
        foreign.insert(column.to_owned(), kind(field));
        return Ok(None);
    }
    if info.converted_type() == ConvertedType::LIST {
        // A list is read as a whole or not at all.
        let Some(kind) = unreadable(field) else {
            return Ok(Some(field.clone()));
        };
        foreign.insert(column.to_owned(), format!("LIST of {kind}"));
        return Ok(None);
    }
    if info.converted_type() != ConvertedType::NONE || info.logical_type_ref().is_some() {
        foreign.insert(column.to_owned(), kind(field));
        return Ok(None);
    }
    let readable = fields(field, column, foreign)?;
    if readable.is_empty() {
        return Ok(None);
    }
    let part =
        Type::group_type_builder(field.name()).with_repetition(info.repetition()).with_fields(readable).build()?;
    Ok(Some(Arc::new(part)))
}

/// Returns the type of the first unreadable part of `field`, at any depth.
fn unreadable(field: &Type) -> Option<String> {
    if field.is_primitive() {
        return (!is_readable(field)).then(|| kind(field));
    }
    let info = field.get_basic_info();
    if !matches!(info.converted_type(), ConvertedType::NONE | ConvertedType::LIST) {
        return Some(kind(field));
    }
    field.get_fields().iter().find_map(|field| unreadable(field))
}

/// Returns true if values of this type are texts, numbers or booleans. Bytes without a type may be text.
fn is_readable(field: &Type) -> bool {
    let info = field.get_basic_info();
    if matches!(info.logical_type_ref(), Some(LogicalType::Float16 | LogicalType::Unknown)) {
        return true;
    }
    let plain = info.converted_type() == ConvertedType::NONE && info.logical_type_ref().is_none();
    match field.get_physical_type() {
        Physical::BOOLEAN | Physical::FLOAT | Physical::DOUBLE => plain,
        Physical::INT32 | Physical::INT64 => plain || is_integer(info.converted_type()),
        Physical::BYTE_ARRAY => {
            plain || matches!(info.converted_type(), ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON)
        }
        Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY => false,
    }
}

fn is_integer(converted: ConvertedType) -> bool {
    use ConvertedType::{INT_8, INT_16, INT_32, INT_64, UINT_8, UINT_16, UINT_32, UINT_64};
    matches!(converted, INT_8 | INT_16 | INT_32 | INT_64 | UINT_8 | UINT_16 | UINT_32 | UINT_64)
}

/// Returns the name of a type in parquet.
fn kind(field: &Type) -> String {
    let info = field.get_basic_info();
    match (info.converted_type(), info.logical_type_ref()) {
        (ConvertedType::NONE, Some(logical)) => {
            let shown = format!("{logical:?}");
            shown.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_uppercase()
        }
        (ConvertedType::NONE, None) if field.is_primitive() => field.get_physical_type().to_string(),
        (converted, _) => converted.to_string(),
    }
}

fn dotted(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn object(row: &Row, place: &str, foreign: &mut Arc<Foreign>) -> Map<String, Value> {
    row.get_column_iter().map(|(name, field)| (name.clone(), json(field, &dotted(place, name), foreign))).collect()
}

/// Converts a value of `column` to JSON. Bytes that are not UTF-8 become null, and the column is added to `foreign`.
fn json(field: &Field, column: &str, foreign: &mut Arc<Foreign>) -> Value {
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
        Field::Float16(value) => f32::from(*value).into(),
        Field::Float(value) => (*value).into(),
        Field::Double(value) => (*value).into(),
        Field::Str(value) => value.as_str().into(),
        Field::Bytes(value) => match std::str::from_utf8(value.data()) {
            Ok(text) => text.into(),
            Err(_) => unreadable_value(column, "BYTE_ARRAY, not UTF-8", foreign),
        },
        Field::Group(row) => object(row, column, foreign).into(),
        Field::ListInternal(list) => list.elements().iter().map(|element| json(element, column, foreign)).collect(),
        // Columns of such types are excluded from the projection.
        _ => unreadable_value(column, "no text", foreign),
    }
}

fn unreadable_value(column: &str, kind: &str, foreign: &mut Arc<Foreign>) -> Value {
    Arc::make_mut(foreign).insert(column.to_owned(), kind.to_owned());
    Value::Null
}
