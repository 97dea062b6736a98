//! Vicinity refresh (dInfer, arXiv 2510.08666): the block is recomputed with `radius` tokens on either side of it, which
//! its new tokens change the most.

use std::ops::Range;

use super::Cache;

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
    fn span(&self, block: Range<usize>, length: usize) -> Range<usize> {
        block.start.saturating_sub(self.radius)..length.min(block.end + self.radius)
    }
}
