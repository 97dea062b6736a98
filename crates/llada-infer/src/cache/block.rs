//! The block cache: finished blocks keep their keys and values for good, the block is recomputed.
//!
//! Under block-causal attention (LLaDA2) a finished block never sees what follows it, so the cache is exact: the first
//! step of a block recomputes the block before it too, from its final tokens, and no step recomputes anything older.

use llada_core::predictor::Recompute;

use super::{Cache, block_after_the_previous};
use crate::StepContext;

/// The cache of finished blocks.
#[derive(Debug)]
pub(crate) struct Block;

impl Cache for Block {
    fn is_refreshed(&self, at: &StepContext) -> bool {
        at.block_index == 0 && at.block_step == 0
    }

    fn survives_growth(&self) -> bool {
        true
    }

    fn keeps_span(&self) -> bool {
        true
    }

    fn recompute(&self, at: &StepContext) -> Recompute {
        block_after_the_previous(at)
    }
}
