//! Caches, which choose the positions that a step recomputes. The other positions keep their keys and values from an
//! earlier step.
//!
//! All caches are approximate for a bidirectional model. With a refresh interval of 1 all of them are exact. For a model
//! whose attention is causal from block to block, *block* is exact.

mod block;
mod block_wise;
mod config;
mod dllm;

use std::fmt;

use llada_core::predictor::Recompute;

use crate::{InferError, StepContext};
pub(crate) use block::Block;
pub use block_wise::{Dual, Prefix, Vicinity};
pub use config::{CacheConfig, CacheKind};
pub use dllm::Dllm;

/// A policy that chooses the positions to recompute in a step. They count the tokens of the row, of which there are
/// [`row_length`](StepContext::row_length).
pub trait Cache: fmt::Debug + Send + Sync {
    /// Returns true if the step computes everything. The first step always does, and so does a step after the sequence has
    /// grown or a suffix window has moved.
    fn is_refreshed(&self, at: &StepContext) -> bool;

    /// Returns how far the values of the masks that a step wants may have [moved](llada_core::predictor::Hidden::drift)
    /// before the step after it computes everything; none if that is not measured. A step that computes everything itself
    /// is not asked.
    fn drift_limit(&self, _at: &StepContext) -> Option<f32> {
        None
    }

    /// Checks the options of the cache.
    ///
    /// # Errors
    /// If an option is out of range.
    fn validate(&self) -> Result<(), InferError> {
        Ok(())
    }

    /// Returns true if what is cached stays valid when masks are appended to the sequence.
    fn survives_growth(&self) -> bool {
        false
    }

    /// Returns true if, between two full forwards, each step recomputes the positions that the one before has recomputed, or
    /// more; the first step of a block may recompute more than those after it, since no states are drafted beside it. The
    /// tokens that a step has seen at these positions then leave no trace in later ones, which is what lets several states of
    /// a sequence share its keys and values ([`draft_length`](crate::SamplerConfig::draft_length)).
    fn keeps_span(&self) -> bool {
        false
    }

    /// Returns how a step that computes everything does so.
    fn refresh(&self, _at: &StepContext) -> Recompute {
        Recompute::All
    }

    /// Returns the positions that any other step computes. They must include those of the block.
    fn recompute(&self, at: &StepContext) -> Recompute;
}

/// Returns the positions of the block; in its first step, also those of the block before it, whose final tokens no step has
/// seen unless it was a full forward.
fn block_after_the_previous(at: &StepContext) -> Recompute {
    let start = if at.block_step == 0 { at.previous_block.min(at.block.start) } else { at.block.start };
    Recompute::Span(start..at.block.end)
}
