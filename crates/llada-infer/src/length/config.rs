//! The choice of a length policy with its options, as in a request: `"length": "daedal", "initial_gen_length": 64`.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{IntoEnumIterator, VariantArray};

use super::{Append, Daedal, Fixed, LengthPolicy};
use crate::{InferError, method::Method};

/// A policy of the answer's length with its options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, strum::EnumDiscriminants, strum::EnumIter)]
#[serde(tag = "length", rename_all = "snake_case")]
#[strum_discriminants(
    name(LengthKind),
    doc = "The name of a length policy.",
    derive(Hash, Serialize, Deserialize, strum::Display, strum::EnumString, strum::VariantNames, strum::VariantArray),
    serde(rename_all = "snake_case"),
    strum(serialize_all = "snake_case", parse_err_ty = InferError, parse_err_fn = unknown)
)]
#[non_exhaustive]
pub enum LengthConfig {
    /// The answer has `gen_length` tokens.
    #[default]
    Fixed,
    /// Blocks are appended until one has an end-of-text token, up to `gen_length` tokens.
    Append(Append),
    /// DAEDAL: the answer grows until the model predicts its end with confidence, up to `gen_length` tokens.
    Daedal(Daedal),
}

impl LengthConfig {
    pub(crate) fn build(self) -> Box<dyn LengthPolicy> {
        match self {
            Self::Fixed => Box::new(Fixed),
            Self::Append(policy) => Box::new(policy),
            Self::Daedal(policy) => Box::new(policy),
        }
    }
}

impl LengthKind {
    /// All policies.
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
