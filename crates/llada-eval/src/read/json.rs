//! JSON files: JSONL, one or several objects that span lines, or an array of objects.

use std::{fmt, path::Path, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{EvalError, Record};

pub(super) fn read(path: &Arc<Path>, bytes: &[u8]) -> Result<Vec<Record>, EvalError> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        return read_array(path, bytes);
    }
    let mut records = Vec::new();
    for (row, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(Object(values)) => records.push(Record::new(values, path, row)),
            // The first line of an object that spans several lines.
            Err(error) if error.is_eof() && records.is_empty() => return read_stream(path, bytes),
            Err(source) => return Err(EvalError::Json { path: path.to_path_buf(), row, source }),
        }
    }
    Ok(records)
}

fn read_array(path: &Arc<Path>, bytes: &[u8]) -> Result<Vec<Record>, EvalError> {
    let objects: Vec<Object> = serde_json::from_slice(bytes).map_err(|source| invalid(path, source))?;
    Ok((1..).zip(objects).map(|(row, Object(values))| Record::new(values, path, row)).collect())
}

/// Reads objects that follow one another, wherever the lines break.
fn read_stream(path: &Arc<Path>, bytes: &[u8]) -> Result<Vec<Record>, EvalError> {
    let mut records = Vec::new();
    for (row, object) in (1..).zip(serde_json::Deserializer::from_slice(bytes).into_iter()) {
        let Object(values) = object.map_err(|source| invalid(path, source))?;
        records.push(Record::new(values, path, row));
    }
    Ok(records)
}

fn invalid(path: &Path, source: serde_json::Error) -> EvalError {
    EvalError::Json { path: path.to_path_buf(), row: source.line(), source }
}

/// An object without duplicate keys, of which one value would be lost.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut entries: M) -> Result<Object, M::Error> {
        let mut values = Map::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            if values.contains_key(&key) {
                return Err(M::Error::custom(format!("the key {key:?} is there twice")));
            }
            values.insert(key, value);
        }
        Ok(Object(values))
    }
}
