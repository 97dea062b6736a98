//! Caches that follow the blocks: each block starts with a full forward, another one follows every `refresh_interval`
//! steps, and the steps in between recompute a span around the block. With `refresh_drift` the dual cache starts a block
//! with a full forward only where what it keeps has become stale.
//!
//! *prefix* and *dual* are those of Fast-dLLM (arXiv 2505.22618, section 3.2), *vicinity* is that of dInfer
//! (arXiv 2510.08666).

use llada_core::predictor::Recompute;
use serde::{Deserialize, Serialize};

use super::{Cache, block_after_the_previous};
use crate::{
    InferError, StepContext,
    error::{check_positive, check_range},
};

/// The number of tokens on each side of the block that the vicinity cache recomputes.
const RADIUS: usize = 16;

/// The prefix cache: everything before the block is reused; the block and everything after it is recomputed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prefix {
    /// The number of steps from one full forward of a block to the next; if absent, only the first step of a block is one.
    pub refresh_interval: Option<usize>,
}

/// The dual cache: everything before and after the block is reused; only the block is recomputed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dual {
    /// The number of steps from one full forward of a block to the next; if absent, only the first step of a block is one.
    pub refresh_interval: Option<usize>,
    /// How far values may move before everything is computed, from 0 to 2; if absent, each block starts with a full forward.
    ///
    /// The first step of a block but the first then recomputes the block before it, from its final tokens, and the block. The
    /// masks of the block have been computed in the last full forward: if their values have moved by more than this
    /// ([`drift`](llada_core::predictor::Hidden::drift)), what was decoded since has changed what the rest would be, and the
    /// second step of the block is a full forward. That the drift of a few positions tells when all are stale is the idea of
    /// Elastic-Cache (arXiv 2510.14973), which measures it on attention.
    pub refresh_drift: Option<f32>,
}

/// The vicinity cache: the block is recomputed together with 16 tokens on either side, which its new tokens affect most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vicinity {
    /// The number of steps from one full forward of a block to the next; if absent, only the first step of a block is one.
    pub refresh_interval: Option<usize>,
}

impl Cache for Prefix {
    fn validate(&self) -> Result<(), InferError> {
        check_interval(self.refresh_interval)
    }

    fn is_refreshed(&self, at: &StepContext) -> bool {
        is_block_refreshed(at, self.refresh_interval)
    }

    fn keeps_span(&self) -> bool {
        true
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        Recompute::Span(at.block.start..at.row_length)
    }
}

impl Cache for Dual {
    fn validate(&self) -> Result<(), InferError> {
        check_range("refresh_drift", self.refresh_drift.unwrap_or(0.0), [0.0, 2.0])?;
        check_interval(self.refresh_interval)
    }

    fn is_refreshed(&self, at: &StepContext) -> bool {
        is_block_refreshed(at, self.refresh_interval) && !(at.block_step == 0 && self.refresh_drift.is_some())
    }

    fn drift_limit(&self, at: &StepContext) -> Option<f32> {
        self.refresh_drift.filter(|_| at.block_step == 0)
    }

    fn keeps_span(&self) -> bool {
        true
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        block_after_the_previous(at)
    }
}

impl Cache for Vicinity {
    fn validate(&self) -> Result<(), InferError> {
        check_interval(self.refresh_interval)
    }

    fn is_refreshed(&self, at: &StepContext) -> bool {
        is_block_refreshed(at, self.refresh_interval)
    }

    fn keeps_span(&self) -> bool {
        true
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        Recompute::Span(at.block.start.saturating_sub(RADIUS)..at.row_length.min(at.block.end + RADIUS))
    }
}

fn check_interval(refresh_interval: Option<usize>) -> Result<(), InferError> {
    check_positive("refresh_interval", refresh_interval.unwrap_or(1))
}

/// Returns true if the step is a full forward of its block.
fn is_block_refreshed(at: &StepContext, refresh_interval: Option<usize>) -> bool {
    // Without an interval only step 0 is a multiple.
    at.block_step.is_multiple_of(refresh_interval.unwrap_or(usize::MAX))
}
