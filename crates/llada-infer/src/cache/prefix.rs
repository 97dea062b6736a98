//! Prefix cache (Fast-dLLM, arXiv 2505.22618, section 3.2): \[0, block start) is reused, the block and what follows it
//! are recomputed.

use llada_core::predictor::Recompute;

use super::{Cache, is_block_refreshed};
use crate::StepContext;

/// The prefix cache.
#[derive(Debug)]
pub(super) struct Prefix {
    /// Steps from one full forward of a block to the next; only its first if absent.
    pub(super) refresh_interval: Option<usize>,
}

impl Cache for Prefix {
    fn is_refreshed(&self, at: &StepContext) -> bool {
        is_block_refreshed(at, self.refresh_interval)
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        Recompute::Span(at.block.start..at.length)
    }
}
