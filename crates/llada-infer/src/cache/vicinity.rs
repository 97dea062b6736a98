//! Vicinity refresh (dInfer, arXiv 2510.08666): the block is recomputed with `radius` tokens on either side of it, which
//! its new tokens change the most.

use llada_core::predictor::Recompute;

use super::{Cache, Moment};

/// The vicinity cache.
pub(super) struct Vicinity {
    /// Tokens recomputed on each side of the block.
    radius: usize,
}

impl Default for Vicinity {
    fn default() -> Self {
        Self { radius: 16 }
    }
}

impl Cache for Vicinity {
    fn reuse(&self, at: &Moment) -> Recompute {
        Recompute::Span(at.block.start.saturating_sub(self.radius)..at.length.min(at.block.end + self.radius))
    }
}
