//! Dual cache (Fast-dLLM, arXiv 2505.22618, section 3.2): prefix and suffix are reused, the block alone is recomputed.

use llada_core::predictor::Recompute;
use serde::{Deserialize, Serialize};

use super::{Cache, is_block_refreshed};
use crate::{InferError, StepContext, error::check_positive};

/// The dual cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dual {
    /// Steps from one full forward of a block to the next; only its first if absent.
    pub refresh_interval: Option<usize>,
}

impl Cache for Dual {
    fn validate(&self) -> Result<(), InferError> {
        check_positive("refresh_interval", self.refresh_interval.unwrap_or(1))
    }

    fn is_refreshed(&self, at: &StepContext) -> bool {
        is_block_refreshed(at, self.refresh_interval)
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        Recompute::Span(at.block.clone())
    }
}
