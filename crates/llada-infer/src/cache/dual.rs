//! Dual cache (Fast-dLLM, arXiv 2505.22618, section 3.2): prefix and suffix are reused, the block alone is recomputed.

use std::ops::Range;

use super::Cache;

/// The dual cache.
pub(super) struct Dual;

impl Cache for Dual {
    fn span(&self, block: Range<usize>, _length: usize) -> Range<usize> {
        block
    }
}
