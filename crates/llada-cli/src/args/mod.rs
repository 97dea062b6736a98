//! The arguments that several commands share. Those of a single command are beside it.

mod flags;
mod model;
mod sampler;

pub(crate) use model::ModelArgs;
pub(crate) use sampler::{SamplerArgs, read_options};

use std::{fmt::Display, str::FromStr};

use llada_core::Hint;
use llada_infer::InferError;

/// Parses a name.
pub(crate) fn named<T>(text: &str) -> Result<T, String>
where
    T: FromStr<Err: Into<InferError>>,
{
    text.parse().map_err(|error: T::Err| {
        let error: InferError = error.into();
        with_hint(&error, error.hint())
    })
}

/// Writes the hint into the message, because clap shows only the message of an argument's error.
pub(crate) fn with_hint(error: &impl Display, hint: Option<Hint>) -> String {
    match hint {
        Some(hint) => format!("{error}; hint: {hint}"),
        None => error.to_string(),
    }
}

/// Token ids as they are typed: `1,2,3`, or nothing.
#[derive(Clone)]
pub(crate) struct Ids(pub(crate) Vec<u32>);

impl FromStr for Ids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let id = |id: &str| id.trim().parse().map_err(|_| format!("{id:?} is not a token id"));
        match text.trim() {
            "" => Ok(Self(Vec::new())),
            text => text.split(',').map(id).collect::<Result<_, _>>().map(Self),
        }
    }
}
