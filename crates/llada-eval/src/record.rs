//! One record of a dataset, and its values by the names of their columns.

use std::{borrow::Cow, collections::BTreeMap, path::Path, sync::Arc};

use serde_json::{Map, Value};

use crate::EvalError;

/// A row of a dataset that knows where it comes from.
#[derive(Debug, Clone)]
pub struct Record {
    values: Map<String, Value>,
    /// Columns that hold no JSON, and their types.
    foreign: Arc<BTreeMap<String, String>>,
    path: Arc<Path>,
    row: usize,
}

impl Record {
    pub(crate) fn new(values: Map<String, Value>, path: &Arc<Path>, row: usize) -> Self {
        Self { values, foreign: Arc::default(), path: path.clone(), row }
    }

    /// The record, where `foreign` says what type those columns have that `values` could not hold.
    pub(crate) fn with_foreign(self, foreign: Arc<BTreeMap<String, String>>) -> Self {
        Self { foreign, ..self }
    }

    /// File and row, as messages name them.
    pub fn place(&self) -> String {
        format!("{}, row {}", self.path.display(), self.row)
    }

    /// The value of `column`, null being none; `choices.text` is the field `text` of the structure `choices`.
    pub(crate) fn value(&self, column: &str) -> Result<&Value, EvalError> {
        let within =
            |outer: &str| column.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if let Some((column, kind)) = self.foreign.iter().find(|(outer, _)| within(outer)) {
            let (path, column, kind) = (self.path.to_path_buf(), column.clone(), kind.clone());
            return Err(EvalError::Type { path, row: self.row, column, kind });
        }
        let mut names = column.split('.');
        let first = names.next().and_then(|name| self.values.get(name));
        let value = names.fold(first, |value, name| value?.get(name)).filter(|value| !value.is_null());
        value.ok_or_else(|| EvalError::Column {
            path: self.path.to_path_buf(),
            row: self.row,
            column: column.to_owned(),
            known: self.known(),
        })
    }

    /// The columns that hold something, as messages name them.
    fn known(&self) -> String {
        let values = self.values.iter().filter(|(_, value)| !value.is_null()).map(|(column, _)| column.as_str());
        let known: Vec<&str> = values.chain(self.foreign.keys().map(String::as_str)).collect();
        if known.is_empty() { "nothing".to_owned() } else { known.join(", ") }
    }

    /// Whether the record has a value in `column`.
    pub(crate) fn has(&self, column: &str) -> bool {
        !matches!(self.value(column), Err(EvalError::Column { .. }))
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

    /// The texts in the field `name` of each of the structures in `column`.
    pub(crate) fn each(&self, column: &str, name: &str) -> Result<Vec<&str>, EvalError> {
        let list = self.value(column)?.as_array().filter(|list| !list.is_empty());
        let texts = list.and_then(|list| list.iter().map(|structure| structure.get(name)?.as_str()).collect());
        texts.ok_or_else(|| self.wrong(column, format!("a list of structures, each with a text {name}")))
    }

    /// The text in `column` by which an option is known; an integer is its digits.
    pub(crate) fn key(&self, column: &str) -> Result<Cow<'_, str>, EvalError> {
        match self.value(column)? {
            Value::String(text) => Ok(text.into()),
            Value::Number(number) if !number.is_f64() => Ok(number.to_string().into()),
            _ => Err(self.wrong(column, "a text or an integer")),
        }
    }

    /// The integer in `column`; official files write some as text.
    pub(crate) fn integer(&self, column: &str) -> Result<i64, EvalError> {
        integer(self.value(column)?).ok_or_else(|| self.wrong(column, "an integer"))
    }

    /// The integers in `column`, at least one.
    pub(crate) fn integers(&self, column: &str) -> Result<Vec<i64>, EvalError> {
        let list = self.value(column)?.as_array().filter(|list| !list.is_empty());
        let integers = list.and_then(|list| list.iter().map(integer).collect());
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

/// An integer, also one that is written as text.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}
