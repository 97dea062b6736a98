//! What a step recomputes: the other positions keep the keys and values of an earlier step.
//!
//! Every block starts with a full forward, and every `refresh_interval` steps there is another; in between a cache says
//! which stretch around the block is computed anew. (dLLM-Cache goes by the steps of the answer instead.) All of them are
//! approximate for a bidirectional model; with a refresh interval of 1 all of them are exact.

mod config;
mod dllm;
mod dual;
mod prefix;
mod vicinity;

use std::fmt;

use llada_core::predictor::Recompute;

use crate::{InferError, StepContext};
pub use config::{CacheConfig, CacheKind};
pub use dllm::Dllm;
pub use dual::Dual;
pub use prefix::Prefix;
pub use vicinity::Vicinity;

/// Chooses what a step recomputes.
pub trait Cache: fmt::Debug + Send + Sync {
    /// Whether the step computes everything. So does the first step, and any after the sequence has grown.
    fn is_refreshed(&self, at: &StepContext) -> bool;

    /// Checks its own options.
    ///
    /// # Errors
    /// One of them is out of its range.
    fn validate(&self) -> Result<(), InferError> {
        Ok(())
    }

    /// A step that computes everything.
    fn refresh(&self, _at: &StepContext) -> Recompute {
        Recompute::All
    }

    /// A step between two of those. The positions of the block lie within.
    fn recompute(&self, at: &StepContext) -> Recompute;
}

/// Whether a block that starts with a full forward has another in this step.
fn is_block_refreshed(at: &StepContext, refresh_interval: Option<usize>) -> bool {
    at.block_step.is_multiple_of(refresh_interval.unwrap_or(usize::MAX))
}
