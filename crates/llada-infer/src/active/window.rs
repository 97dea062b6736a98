//! The row of a block: the whole sequence or, under a suffix window, the tokens up to the end of the block and a part of
//! the masks after it.
//!
//! After the block there are masks alone. So the ids of the row are the first ones of the sequence, and up to the end of
//! the block a position in the row is one in the sequence: nothing that is decoded has to be translated.

use llada_core::rng::Noise;

use super::ActiveBlock;
use crate::SamplerConfig;

/// The part of a sequence that forwards see while a block is decoded.
#[derive(Debug, Default)]
pub(super) struct BlockRow {
    length: usize,
    /// The positions of the ids in the sequence if some are hidden, otherwise empty.
    positions: Vec<usize>,
    /// The number and the end of the block, and the length of the sequence, that the row was made for.
    made_for: Option<(usize, usize, usize)>,
}

impl BlockRow {
    /// Returns the number of ids.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Returns the positions of the ids in the sequence if some are hidden.
    pub(super) fn positions(&self) -> Option<&[usize]> {
        if self.positions.is_empty() { None } else { Some(&self.positions) }
    }

    /// Makes the row of `block` in a sequence of `length` ids. Returns true if it has other positions than before, which a
    /// sequence that grows does not change unless some of it is hidden.
    pub(super) fn update(&mut self, config: &SamplerConfig, block: &ActiveBlock, length: usize) -> bool {
        let made_for = (block.index, block.range.end, length);
        if self.made_for.replace(made_for) == Some(made_for) {
            return false;
        }
        let was_partial = !self.positions.is_empty();
        self.positions.clear();
        self.length = length;
        if let Some(suffix) = config.suffix() {
            self.positions.extend(0..block.range.end);
            suffix.extend_seen(block.range.end..length, block.index, Noise::new(config.seed), &mut self.positions);
            self.length = self.positions.len();
            if self.length == length {
                self.positions.clear();
            }
        }
        was_partial || !self.positions.is_empty()
    }
}
