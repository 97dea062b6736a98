//! The canvas of blocks that are counted from position 0: it ends where a block ends, beyond the answer if need be.

use crate::InferError;

/// The grid of blocks under a prompt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aligned {
    pub(super) prompt_length: usize,
    pub(super) block_length: usize,
    pub(super) max_sequence_length: usize,
}

impl Aligned {
    /// Returns the end of the block that the sequence of `length` ends in; the longest sequence may cut it short.
    pub(super) fn end(&self, length: usize) -> usize {
        length.next_multiple_of(self.block_length).min(self.max_sequence_length)
    }

    /// Checks that there is a forward for each block up to `end`.
    ///
    /// # Errors
    /// If there are more blocks than forwards.
    pub(super) fn check_budget(&self, max_nfe: Option<usize>, end: usize) -> Result<(), InferError> {
        let blocks = end.div_ceil(self.block_length) - self.prompt_length / self.block_length;
        match max_nfe {
            Some(max_nfe) if max_nfe < blocks => Err(InferError::Budget { max_nfe, blocks }),
            _ => Ok(()),
        }
    }
}
