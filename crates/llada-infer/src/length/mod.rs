//! How long an answer becomes: as long as `gen_length` says, or at most so long. One file a policy.

mod append;
mod config;
mod daedal;
mod end;

use crate::{Growth, InferError, Prediction, StepContext};
pub use config::{LengthConfig, LengthKind};
pub use daedal::Daedal;
pub(crate) use end::eos_confidence;

/// Decides whether an answer grows. A request whose forwards were limited while it ran grows no more and is not asked.
pub(crate) trait LengthPolicy: Send + Sync {
    /// Checks its own options.
    fn validate(&self) -> Result<(), InferError> {
        Ok(())
    }

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
    pub(crate) prompt_length: usize,
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
