//! Dual cache (Fast-dLLM, arXiv 2505.22618, section 3.2): prefix and suffix are reused, the block alone is recomputed.

use llada_core::predictor::Recompute;

use super::{Cache, is_block_refreshed};
use crate::StepContext;

/// The dual cache.
#[derive(Debug)]
pub(super) struct Dual {
    /// Steps from one full forward of a block to the next; only its first if absent.
    pub(super) refresh_interval: Option<usize>,
}

impl Cache for Dual {
    fn is_refreshed(&self, at: &StepContext) -> bool {
        is_block_refreshed(at, self.refresh_interval)
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        Recompute::Span(at.block.clone())
    }
}
