//! Policies of an answer's length, which is `gen_length` tokens or at most so many. There is one file per policy.

mod append;
mod config;
mod daedal;
mod end;

use crate::{Growth, InferError, Prediction, StepContext};
pub use append::Append;
pub use config::{LengthConfig, LengthKind};
pub use daedal::Daedal;
pub(crate) use end::eos_confidence;

/// A policy that decides when an answer grows. It is not asked for a request that was hurried, whose answer does not grow.
pub(crate) trait LengthPolicy: Send + Sync {
    /// Checks the options of the policy.
    ///
    /// # Errors
    /// If an option is out of range.
    fn validate(&self) -> Result<(), InferError> {
        Ok(())
    }

    /// Returns the number of masks that the answer starts with.
    fn initial_length(&self, gen_length: usize, _block_length: usize) -> usize {
        gen_length
    }

    /// Returns true if the answer starts with one block, whatever its length.
    fn grows_by_blocks(&self) -> bool {
        false
    }

    /// Returns true if the policy needs the confidence that the answer ends, which full forwards provide.
    fn needs_eos_confidence(&self) -> bool {
        false
    }

    /// Returns masks to insert instead of taking the step. The forward of the step has run.
    fn before_step(&self, _at: &StepContext, _eos_confidence: Option<f64>) -> Option<Growth> {
        None
    }

    /// Returns masks to insert after the step.
    fn after_step(&self, _step: &FinishedStep<'_>) -> Option<Growth> {
        None
    }
}

/// A step after its commits, before the sequence grows.
pub(crate) struct FinishedStep<'a> {
    pub(crate) ids: &'a [u32],
    pub(crate) block_length: usize,
    pub(crate) block_has_ended: bool,
    pub(crate) prompt_length: usize,
    /// The predictions of the step, by ascending position.
    pub(crate) predictions: &'a [Prediction],
    /// The indices of the predictions that the step committed.
    pub(crate) chosen: &'a [usize],
    pub(crate) eos: u32,
    /// The confidence that the answer ends, if the step computed it.
    pub(crate) eos_confidence: Option<f64>,
}

/// The policy with which the answer has `gen_length` tokens.
struct Fixed;

impl LengthPolicy for Fixed {}
