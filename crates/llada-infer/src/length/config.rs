//! The policies of an answer's length with their options, as a request names them: `"length": "daedal",
//! "initial_gen_length": 64`.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{IntoEnumIterator, VariantArray};

use super::{Daedal, Fixed, LengthPolicy, append::Append};
use crate::{InferError, options::Method};

/// A policy of the answer's length and its options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, strum::EnumDiscriminants, strum::EnumIter)]
#[serde(tag = "length", rename_all = "snake_case")]
#[strum_discriminants(
    name(LengthKind),
    doc = "The policies by name.",
    derive(Hash, Serialize, Deserialize, strum::Display, strum::EnumString, strum::VariantNames, strum::VariantArray),
    serde(rename_all = "snake_case"),
    strum(serialize_all = "snake_case", parse_err_ty = InferError, parse_err_fn = unknown)
)]
#[non_exhaustive]
pub enum LengthConfig {
    /// `gen_length` tokens.
    #[default]
    Fixed,
    /// Blocks until one has an end-of-text token, `gen_length` tokens at most.
    Append,
    /// DAEDAL: as many masks as the model asks for, `gen_length` at most.
    Daedal(Daedal),
}

impl LengthConfig {
    pub(crate) fn build(self) -> Box<dyn LengthPolicy> {
        match self {
            Self::Fixed => Box::new(Fixed),
            Self::Append => Box::new(Append),
            Self::Daedal(policy) => Box::new(policy),
        }
    }
}

impl LengthKind {
    /// Every policy.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;
}

/// The policy with the defaults of its options.
impl From<LengthKind> for LengthConfig {
    fn from(kind: LengthKind) -> Self {
        LengthConfig::iter().find(|config| LengthKind::from(config) == kind).unwrap_or_default()
    }
}

/// The name of the policy.
impl fmt::Display for LengthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LengthKind::from(self).fmt(f)
    }
}

impl Method for LengthConfig {
    const KEY: &'static str = "length";

    fn from_name(name: &str) -> Result<Self, InferError> {
        Ok(name.parse::<LengthKind>()?.into())
    }
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<LengthKind>("length", name)
}
