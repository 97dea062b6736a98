//! Methods with options: a decoder, a cache or a length policy in a flat map of options, where the options of the method
//! lie beside its name.

use std::fmt::Display;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use strum::IntoEnumIterator;

use crate::InferError;

/// A choice among methods, each of which has its own options.
pub(crate) trait Method: Default + Display + IntoEnumIterator + Serialize + DeserializeOwned {
    /// The option that names the method.
    const KEY: &'static str;

    /// Returns the method of this name, with the defaults of its options.
    ///
    /// # Errors
    /// If there is no such method.
    fn from_name(name: &str) -> Result<Self, InferError>;
}

/// Returns the names of a method's options.
///
/// # Errors
/// If the method cannot be serialised.
pub(crate) fn options_of<M: Method>(method: &M) -> Result<Vec<String>, InferError> {
    let serialized = serde_json::to_value(method);
    let mut names = Vec::new();
    if let Value::Object(options) =
        serialized.map_err(|source| InferError::Option { option: M::KEY.to_owned(), source })?
    {
        names.extend(options.into_iter().map(|(option, _)| option).filter(|option| option != M::KEY));
    }
    Ok(names)
}

/// Removes a method and its options from `options` and returns the method.
///
/// # Errors
/// If there is no such method, if the value of an option is invalid, or if `options` has an option of another method of the
/// same kind.
pub(crate) fn take_method<M: Method>(options: &mut Map<String, Value>) -> Result<M, InferError> {
    let method = match options.remove(M::KEY) {
        None | Some(Value::Null) => M::default(),
        Some(Value::String(name)) => M::from_name(&name)?,
        Some(other) => M::from_name(&other.to_string())?,
    };
    let name = method.to_string();
    let mut own = Map::from_iter([(M::KEY.to_owned(), Value::from(name.as_str()))]);
    for option in options_of(&method)? {
        // An option that is null counts as absent.
        if let Some(value) = options.remove(&option).filter(|value| !value.is_null()) {
            own.insert(option.clone(), value);
            // Options are read one after another, so that the error of an invalid value names the option.
            read::<M>(&option, Value::Object(own.clone()))?;
        }
    }
    for other in M::iter() {
        for option in options_of(&other)? {
            if options.remove(&option).is_some_and(|value| !value.is_null()) {
                let methods = methods_with::<M>(&option)?;
                return Err(InferError::NotAnOption { kind: M::KEY, method: name, option, methods });
            }
        }
    }
    read(M::KEY, Value::Object(own))
}

/// Reads the value of an option.
///
/// # Errors
/// If the value has the wrong type.
pub(crate) fn read<T: DeserializeOwned>(option: &str, value: Value) -> Result<T, InferError> {
    serde_json::from_value(value).map_err(|source| InferError::Option { option: option.to_owned(), source })
}

/// Returns the names of the methods that have `option`.
fn methods_with<M: Method>(option: &str) -> Result<Vec<String>, InferError> {
    let mut names = Vec::new();
    for method in M::iter() {
        if options_of(&method)?.iter().any(|other| other == option) {
            names.push(method.to_string());
        }
    }
    Ok(names)
}
