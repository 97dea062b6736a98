//! Prefix cache (Fast-dLLM, arXiv 2505.22618, section 3.2): \[0, block start) is reused, the block and what follows it
//! are recomputed.

use std::ops::Range;

use super::Cache;

/// The prefix cache.
pub(super) struct Prefix;

impl Cache for Prefix {
    fn span(&self, block: Range<usize>, length: usize) -> Range<usize> {
        block.start..length
    }
}
