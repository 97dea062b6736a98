//! The arguments that several commands share. Those of a single command are beside it.

mod constraint;
mod filter;
mod flags;
mod model;
mod sampler;

pub(crate) use constraint::{ConstraintArgs, HoleArgs};
pub(crate) use filter::{FilterArgs, filtered};
pub(crate) use model::{GraphArgs, ModelArgs};
pub(crate) use sampler::{SamplerArgs, read_options};

use std::{fmt::Display, str::FromStr};

use llada_core::Hint;
use llada_infer::InferError;
use llada_model::{Device, ModelError};

use crate::hint::flag;

/// Parses the name of a method.
pub(crate) fn named<T>(text: &str) -> Result<T, String>
where
    T: FromStr<Err: Into<InferError>>,
{
    text.parse().map_err(|error: T::Err| {
        let error: InferError = error.into();
        with_hint(&error, error.hint())
    })
}

/// Parses the name of a device.
pub(crate) fn device(name: &str) -> Result<Device, String> {
    name.parse().map_err(|error: ModelError| with_hint(&error, error.hint()))
}

/// Writes the hint into the message, because clap shows only the message of an argument's error.
pub(crate) fn with_hint(error: &impl Display, hint: Option<Hint>) -> String {
    match hint {
        Some(hint) => format!("{error}; hint: {}", hint.render(flag)),
        None => error.to_string(),
    }
}

/// Token ids, separated by commas: `1,2,3`. There may be none.
#[derive(Clone)]
pub(crate) struct Ids(pub(crate) Vec<u32>);

impl FromStr for Ids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut ids = Vec::new();
        if !text.trim().is_empty() {
            for id in text.trim().split(',') {
                ids.push(id.trim().parse().map_err(|_| format!("{id:?} is not a token id"))?);
            }
        }
        Ok(Self(ids))
    }
}
