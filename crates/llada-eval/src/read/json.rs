//! JSONL, one JSON object over several lines or several such, or an array of objects.

use std::{fmt, path::Path, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{EvalError, Record};

pub(super) fn read(path: &Arc<Path>, bytes: &[u8]) -> Result<Vec<Record>, EvalError> {
    let failed = |row, source| EvalError::Json { path: path.to_path_buf(), row, source };
    let record = |(row, Object(values))| Record::new(values, path, row);
    if bytes.trim_ascii_start().starts_with(b"[") {
        let rows: Vec<Object> = serde_json::from_slice(bytes).map_err(|error| failed(error.line(), error))?;
        return Ok((1..).zip(rows).map(record).collect());
    }
    let lines = (1..).zip(bytes.split(|&byte| byte == b'\n')).filter(|(_, line)| !line.trim_ascii().is_empty());
    let mut records = Vec::new();
    for (row, line) in lines {
        match serde_json::from_slice(line) {
            Ok(object) => records.push(record((row, object))),
            // The first line of an object over several.
            Err(error) if error.is_eof() && records.is_empty() => return read_stream(path, bytes),
            Err(error) => return Err(failed(row, error)),
        }
    }
    Ok(records)
}

/// Objects one after another, wherever the lines break.
fn read_stream(path: &Arc<Path>, bytes: &[u8]) -> Result<Vec<Record>, EvalError> {
    let failed = |source: serde_json::Error| EvalError::Json { path: path.to_path_buf(), row: source.line(), source };
    let objects = serde_json::Deserializer::from_slice(bytes).into_iter();
    (1..)
        .zip(objects)
        .map(|(row, object)| object.map(|Object(values)| Record::new(values, path, row)))
        .collect::<Result<_, _>>()
        .map_err(failed)
}

/// An object that says nothing twice: of two values one would be lost.
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
