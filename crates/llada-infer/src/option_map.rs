//! The options of a request while names are replaced by what they stand for.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::InferError;

/// The options of a request while a name is replaced by what it stands for.
pub(crate) struct Options(pub(crate) Map<String, Value>);

impl Options {
    pub(crate) fn set(&mut self, option: &str, value: impl Into<Value>) {
        self.0.insert(option.to_owned(), value.into());
    }

    /// Sets an option unless the request does.
    pub(crate) fn default_to(&mut self, option: &str, value: impl Into<Value>) {
        if self.0.get(option).is_none_or(Value::is_null) {
            self.set(option, value);
        }
    }

    /// Gives an argument of the published sampler the name of the option that it is here.
    pub(crate) fn rename(&mut self, argument: &str, option: &str) {
        if let Some(value) = self.take(argument) {
            self.set(option, value);
        }
    }

    /// Takes an argument out; none if it is absent or null.
    pub(crate) fn take(&mut self, argument: &str) -> Option<Value> {
        self.0.remove(argument).filter(|value| !value.is_null())
    }

    /// Takes a name out, and what it names.
    pub(crate) fn take_named<T: FromStr<Err = InferError>>(&mut self, option: &str) -> Result<Option<T>, InferError> {
        match self.take(option) {
            None => Ok(None),
            Some(Value::String(name)) => name.parse().map(Some),
            Some(other) => other.to_string().parse().map(Some),
        }
    }

    /// Whether an option has this value.
    pub(crate) fn is(&self, option: &str, value: &str) -> bool {
        self.0.get(option).and_then(Value::as_str) == Some(value)
    }

    pub(crate) fn number(&self, option: &str) -> Option<u64> {
        self.0.get(option).and_then(Value::as_u64)
    }
}
