//! Vicinity refresh (dInfer, arXiv 2510.08666): the block is recomputed with 16 tokens on either side of it, which its
//! new tokens change the most.

use llada_core::predictor::Recompute;
use serde::{Deserialize, Serialize};

use super::{Cache, is_block_refreshed};
use crate::{InferError, StepContext, error::check_positive};

/// Tokens recomputed on each side of the block.
const RADIUS: usize = 16;

/// The vicinity cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vicinity {
    /// Steps from one full forward of a block to the next; only its first if absent.
    pub refresh_interval: Option<usize>,
}

impl Cache for Vicinity {
    fn validate(&self) -> Result<(), InferError> {
        check_positive("refresh_interval", self.refresh_interval.unwrap_or(1))
    }

    fn is_refreshed(&self, at: &StepContext) -> bool {
        is_block_refreshed(at, self.refresh_interval)
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        Recompute::Span(at.block.start.saturating_sub(RADIUS)..at.length.min(at.block.end + RADIUS))
    }
}
