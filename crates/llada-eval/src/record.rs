//! One record of a dataset, and its values by the names of their columns.

use std::{path::Path, sync::Arc};

use serde_json::{Map, Value};

use crate::EvalError;

/// A row of a dataset that knows where it comes from.
#[derive(Debug, Clone)]
pub struct Record {
    values: Map<String, Value>,
    path: Arc<Path>,
    row: usize,
}

impl Record {
    pub(crate) fn new(values: Map<String, Value>, path: &Arc<Path>, row: usize) -> Self {
        Self { values, path: path.clone(), row }
    }

    /// File and row, as messages name them.
    pub fn place(&self) -> String {
        format!("{}, row {}", self.path.display(), self.row)
    }

    /// The value of `column`; `choices.text` is the field `text` of the structure `choices`.
    pub(crate) fn value(&self, column: &str) -> Result<&Value, EvalError> {
        let mut names = column.split('.');
        let first = names.next().and_then(|name| self.values.get(name));
        names.fold(first, |value, name| value?.get(name)).ok_or_else(|| EvalError::Column {
            path: self.path.to_path_buf(),
            row: self.row,
            column: column.to_owned(),
            known: self.values.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// The text in `column`.
    pub(crate) fn text(&self, column: &str) -> Result<&str, EvalError> {
        self.value(column)?.as_str().ok_or_else(|| self.wrong(column, "a text"))
    }

    /// The texts in `column`, at least one.
    pub(crate) fn texts(&self, column: &str) -> Result<Vec<&str>, EvalError> {
        let list = self.value(column)?.as_array().filter(|list| !list.is_empty());
        let texts = list.and_then(|list| list.iter().map(Value::as_str).collect());
        texts.ok_or_else(|| self.wrong(column, "a list of texts"))
    }

    /// The integer in `column`; official files write some as text.
    pub(crate) fn integer(&self, column: &str) -> Result<i64, EvalError> {
        let value = self.value(column)?;
        let written = || value.as_str().and_then(|text| text.parse().ok());
        value.as_i64().or_else(written).ok_or_else(|| self.wrong(column, "an integer"))
    }

    /// The integers in `column`, at least one.
    pub(crate) fn integers(&self, column: &str) -> Result<Vec<i64>, EvalError> {
        let list = self.value(column)?.as_array().filter(|list| !list.is_empty());
        let integers = list.and_then(|list| list.iter().map(Value::as_i64).collect());
        integers.ok_or_else(|| self.wrong(column, "a list of integers"))
    }

    /// The integer in `column` as an index below `count`.
    pub(crate) fn index(&self, column: &str, count: usize) -> Result<usize, EvalError> {
        let index = usize::try_from(self.integer(column)?).ok().filter(|&index| index < count);
        index.ok_or_else(|| self.wrong(column, format!("an index of one of the {count} options")))
    }

    /// The error that `column` does not hold what is `expected`.
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
