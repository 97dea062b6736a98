//! Records of datasets, whose values are read by the names of their columns.

use std::{borrow::Cow, collections::BTreeMap, path::Path, sync::Arc};

use serde_json::{Map, Value};

use crate::EvalError;

/// A record of a dataset together with its file and row.
#[derive(Debug, Clone)]
pub struct Record {
    values: Map<String, Value>,
    /// The columns whose values cannot be represented as JSON, with their types.
    foreign: Arc<BTreeMap<String, String>>,
    path: Arc<Path>,
    row: usize,
}

impl Record {
    pub(crate) fn new(values: Map<String, Value>, path: &Arc<Path>, row: usize) -> Self {
        Self { values, foreign: Arc::default(), path: path.clone(), row }
    }

    /// Adds the names and types of the columns that `values` cannot represent.
    pub(crate) fn with_foreign(self, foreign: Arc<BTreeMap<String, String>>) -> Self {
        Self { foreign, ..self }
    }

    /// Returns file and row in the form that messages use.
    pub fn place(&self) -> String {
        format!("{}, row {}", self.path.display(), self.row)
    }

    /// Returns the value of `column`. A dot selects a field: `choices.text` is the field `text` of the structure `choices`.
    ///
    /// # Errors
    /// If the column is absent, null, or of a type that cannot be represented as JSON.
    pub(crate) fn value(&self, column: &str) -> Result<&Value, EvalError> {
        for (outer, kind) in self.foreign.iter() {
            let within = column.strip_prefix(outer.as_str());
            if within.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
                let (path, column, kind) = (self.path.to_path_buf(), outer.clone(), kind.clone());
                return Err(EvalError::Type { path, row: self.row, column, kind });
            }
        }
        match self.lookup(column) {
            None | Some(Value::Null) => Err(EvalError::Column {
                path: self.path.to_path_buf(),
                row: self.row,
                column: column.to_owned(),
                known: self.known(),
            }),
            Some(value) => Ok(value),
        }
    }

    fn lookup(&self, column: &str) -> Option<&Value> {
        let mut names = column.split('.');
        let mut value = self.values.get(names.next()?)?;
        for name in names {
            value = value.get(name)?;
        }
        Some(value)
    }

    /// Returns the columns that have a value, in the form that messages use.
    fn known(&self) -> String {
        let values = self.values.iter().filter(|(_, value)| !value.is_null()).map(|(column, _)| column.as_str());
        let known: Vec<&str> = values.chain(self.foreign.keys().map(String::as_str)).collect();
        if known.is_empty() { "nothing".to_owned() } else { known.join(", ") }
    }

    /// Returns true if the record has a value in `column`.
    pub(crate) fn has(&self, column: &str) -> bool {
        !matches!(self.value(column), Err(EvalError::Column { .. }))
    }

    /// Returns the text in `column`.
    pub(crate) fn text(&self, column: &str) -> Result<&str, EvalError> {
        self.value(column)?.as_str().ok_or_else(|| self.wrong(column, "a text"))
    }

    /// Returns the texts in `column`, of which there must be at least one.
    pub(crate) fn texts(&self, column: &str) -> Result<Vec<&str>, EvalError> {
        let list = self.value(column)?.as_array().filter(|list| !list.is_empty());
        let texts = list.and_then(|list| list.iter().map(Value::as_str).collect());
        texts.ok_or_else(|| self.wrong(column, "a list of texts"))
    }

    /// Returns the texts in the field `name` of each structure in `column`.
    pub(crate) fn each(&self, column: &str, name: &str) -> Result<Vec<&str>, EvalError> {
        let list = self.value(column)?.as_array().filter(|list| !list.is_empty());
        let texts = list.and_then(|list| list.iter().map(|structure| structure.get(name)?.as_str()).collect());
        texts.ok_or_else(|| self.wrong(column, format!("a list of structures, each with a text {name}")))
    }

    /// Returns the key of an option in `column`, which may be written as a text or as an integer.
    pub(crate) fn key(&self, column: &str) -> Result<Cow<'_, str>, EvalError> {
        match self.value(column)? {
            Value::String(text) => Ok(text.into()),
            Value::Number(number) if !number.is_f64() => Ok(number.to_string().into()),
            _ => Err(self.wrong(column, "a text or an integer")),
        }
    }

    /// Returns the integer in `column`, which some official files write as text.
    pub(crate) fn integer(&self, column: &str) -> Result<i64, EvalError> {
        integer(self.value(column)?).ok_or_else(|| self.wrong(column, "an integer"))
    }

    /// Returns the integers in `column`, of which there must be at least one.
    pub(crate) fn integers(&self, column: &str) -> Result<Vec<i64>, EvalError> {
        let list = self.value(column)?.as_array().filter(|list| !list.is_empty());
        let integers = list.and_then(|list| list.iter().map(integer).collect());
        integers.ok_or_else(|| self.wrong(column, "a list of integers"))
    }

    /// Returns the integer in `column`, which must be an index below `count`.
    pub(crate) fn index(&self, column: &str, count: usize) -> Result<usize, EvalError> {
        let index = usize::try_from(self.integer(column)?).ok().filter(|&index| index < count);
        index.ok_or_else(|| self.wrong(column, format!("an index of one of the {count} options")))
    }

    /// Creates the error for a value in `column` that is not the `expected` kind of value.
    pub(crate) fn wrong(&self, column: &str, expected: impl Into<String>) -> EvalError {
        const SHOWN: usize = 60;
        let found = self.value(column).map(Value::to_string).unwrap_or_default();
        let found = match found.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &found[..end]),
            None => found,
        };
        let (path, column) = (self.path.to_path_buf(), column.to_owned());
        EvalError::Value { path, row: self.row, column, found, expected: expected.into() }
    }
}

/// Reads an integer that may be written as text.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}
