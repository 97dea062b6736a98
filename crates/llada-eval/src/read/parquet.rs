//! Parquet: truth values, numbers, texts, and lists and structures of such. Columns of other types are remembered by
//! what they are, for the error when a task asks for them.

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

/// Rows that any file may have. Beyond them there is a byte for each row, or their number is not meant: a few bytes can
/// claim, and repeat, more rows than memory holds.
const ROWS: usize = 1 << 22;

/// Columns that hold no text, number or truth value, and their types.
type Foreign = BTreeMap<String, String>;

pub(super) fn read(path: &Arc<Path>, bytes: Vec<u8>) -> Result<Vec<Record>, EvalError> {
    // The reader panics at some damaged files.
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
    if columns.is_empty() {
        let record = |row| Record::new(Map::new(), path, row).with_foreign(foreign.clone());
        return Ok((1..=rows).map(record).collect());
    }
    let projection = Type::group_type_builder(schema.name()).with_fields(columns).build()?;
    let rows = file.get_row_iter(Some(projection))?;
    let record = |(row, values): (usize, Result<Row, ParquetError>)| {
        let mut foreign = foreign.clone();
        let values = object(&values?, "", &mut foreign);
        Ok(Record::new(values, path, row).with_foreign(foreign))
    };
    (1..).zip(rows).map(record).collect()
}

/// The number of rows, if a file of this length can mean it.
fn count(metadata: &ParquetMetaData, length: usize) -> Result<usize, ParquetError> {
    let most = ROWS.max(length);
    let groups = metadata.row_groups().iter().map(|group| usize::try_from(group.num_rows()).ok());
    let rows = groups.sum::<Option<usize>>().filter(|&rows| rows <= most);
    rows.ok_or_else(|| ParquetError::General(format!("{length} bytes claim more than {most} rows")))
}

/// The fields of a structure that can be read; what the others are goes to `foreign`.
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

/// The field without those parts of structures that cannot be read; none if nothing of it can.
fn readable_part(field: &TypePtr, column: &str, foreign: &mut Foreign) -> Result<Option<TypePtr>, ParquetError> {
    let info = field.get_basic_info();
    if field.is_primitive() {
        return Ok(if is_readable(field) {
            Some(field.clone())
        } else {
            foreign.insert(column.to_owned(), kind(field));
            None
        });
    }
    if info.converted_type() == ConvertedType::LIST {
        // A list is read as a whole or not at all.
        return Ok(match unreadable(field) {
            None => Some(field.clone()),
            Some(kind) => {
                foreign.insert(column.to_owned(), format!("LIST of {kind}"));
                None
            }
        });
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

/// The type of the first part of `field` that cannot be read, however deep.
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

/// Whether values of this type are texts, numbers or truth values. Bytes without a type may be text.
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

/// The name of a type, as parquet has it.
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

/// A value of `column` as JSON has it. Bytes that are no text leave null, and their type in `foreign`.
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
            Err(_) => strange(column, "BYTE_ARRAY, not UTF-8", foreign),
        },
        Field::Group(row) => object(row, column, foreign).into(),
        Field::ListInternal(list) => list.elements().iter().map(|element| json(element, column, foreign)).collect(),
        // The schema says so of the whole column, which is not asked for then.
        _ => strange(column, "no text", foreign),
    }
}

fn strange(column: &str, kind: &str, foreign: &mut Arc<Foreign>) -> Value {
    Arc::make_mut(foreign).insert(column.to_owned(), kind.to_owned());
    Value::Null
}
