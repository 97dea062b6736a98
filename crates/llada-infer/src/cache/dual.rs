//! Dual cache (Fast-dLLM, arXiv 2505.22618, section 3.2): prefix and suffix are reused, the block alone is recomputed.

use llada_core::predictor::Recompute;

use super::{Cache, Moment};

/// The dual cache.
pub(super) struct Dual;

impl Cache for Dual {
    fn reuse(&self, at: &Moment) -> Recompute {
        Recompute::Span(at.block.clone())
    }
}
