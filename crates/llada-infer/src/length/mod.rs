//! How long an answer becomes: as long as `gen_length` says, or at most so long. One file a policy.

mod append;
mod daedal;
mod end;

use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::{
    InferError, Prediction, SamplerConfig,
    step::{Growth, StepContext},
};

pub(crate) use end::eos_confidence;

/// Decides whether an answer grows. A request whose forwards were limited while it ran grows no more and is not asked.
pub(crate) trait LengthPolicy: Send + Sync {
    /// The masks that the answer begins with.
    fn initial_length(&self, gen_length: usize, _block_length: usize) -> usize {
        gen_length
    }

    /// Whether steps that compute everything ask how sure the model is that the answer ends.
    fn needs_eos_confidence(&self) -> bool {
        false
    }

    /// The masks that are put in instead of the step, whose forward has run.
    fn before_step(&self, _at: &StepContext, _eos_confidence: Option<f64>) -> Option<Growth> {
        None
    }

    /// The masks that are put in after the step.
    fn after_step(&self, _step: &FinishedStep<'_>) -> Option<Growth> {
        None
    }
}

/// A step that has been taken, before the sequence grows.
pub(crate) struct FinishedStep<'a> {
    pub(crate) ids: &'a [u32],
    /// The ids of the block itself.
    pub(crate) block: &'a [u32],
    pub(crate) block_length: usize,
    pub(crate) block_has_ended: bool,
    /// The predictions of the step, by ascending position, and the indices of those that it committed.
    pub(crate) predictions: &'a [Prediction],
    pub(crate) chosen: &'a [usize],
    pub(crate) eos: u32,
    /// How sure the model is that the answer ends, if the step asked.
    pub(crate) eos_confidence: Option<f64>,
}

/// The answer is as long as `gen_length` says.
struct Fixed;

impl LengthPolicy for Fixed {}

/// The policies by name.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = InferError, parse_err_fn = unknown)]
#[non_exhaustive]
pub enum LengthKind {
    /// `gen_length` tokens.
    #[default]
    Fixed,
    /// Blocks until one has an end-of-text token, `gen_length` tokens at most.
    Append,
    /// DAEDAL: as many masks as the model asks for, `gen_length` at most.
    Daedal,
}

impl LengthKind {
    /// Every policy.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    pub(crate) fn build(self, config: &SamplerConfig) -> Box<dyn LengthPolicy> {
        match self {
            Self::Fixed => Box::new(Fixed),
            Self::Append => Box::new(append::Append),
            Self::Daedal => Box::new(daedal::Daedal { initial_gen_length: config.initial_gen_length }),
        }
    }
}

fn unknown(name: &str) -> InferError {
    InferError::unknown::<LengthKind>("length", name)
}
