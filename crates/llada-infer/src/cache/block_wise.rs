//! Caches that follow the blocks: each block starts with a full forward, another one follows every `refresh_interval`
//! steps, and the steps in between recompute a span around the block.
//!
//! *prefix* and *dual* are those of Fast-dLLM (arXiv 2505.22618, section 3.2), *vicinity* is that of dInfer
//! (arXiv 2510.08666).

use llada_core::predictor::Recompute;
use serde::{Deserialize, Serialize};

use super::Cache;
use crate::{InferError, StepContext, error::check_positive};

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
        check_interval(self.refresh_interval)
    }

    fn is_refreshed(&self, at: &StepContext) -> bool {
        is_block_refreshed(at, self.refresh_interval)
    }

    fn keeps_span(&self) -> bool {
        true
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        Recompute::Span(at.block.clone())
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
