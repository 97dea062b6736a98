//! The cache slots of a predictor: which are in use, and which is next.

use std::collections::BTreeSet;

use llada_core::predictor::CacheSlot;

/// A free list of slots.
#[derive(Debug, Default)]
pub(super) struct Slots {
    free: BTreeSet<CacheSlot>,
    /// Slots from this number on were never in use.
    next: usize,
}

impl Slots {
    /// The lowest slot that is free.
    pub(super) fn take(&mut self) -> CacheSlot {
        self.free.pop_first().unwrap_or_else(|| {
            let slot = CacheSlot(self.next);
            self.next += 1;
            slot
        })
    }

    pub(super) fn put_back(&mut self, slot: CacheSlot) {
        self.free.insert(slot);
    }
}
