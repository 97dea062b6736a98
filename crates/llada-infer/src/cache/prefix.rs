//! Prefix cache (Fast-dLLM, arXiv 2505.22618, section 3.2): \[0, block start) is reused, the block and what follows it
//! are recomputed.

use llada_core::predictor::Recompute;

use super::{Cache, Moment};

/// The prefix cache.
pub(super) struct Prefix;

impl Cache for Prefix {
    fn reuse(&self, at: &Moment) -> Recompute {
        Recompute::Span(at.block.start..at.length)
    }
}
