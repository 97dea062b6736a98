//! The free list of a predictor's cache slots.

use std::collections::BTreeSet;

use llada_core::predictor::CacheSlot;

/// The slots that are not in use.
#[derive(Debug, Default)]
pub(super) struct Slots {
    free: BTreeSet<CacheSlot>,
    /// The lowest slot that has never been in use.
    next: usize,
}

impl Slots {
    /// Takes the lowest free slot.
    pub(super) fn take(&mut self) -> CacheSlot {
        if let Some(slot) = self.free.pop_first() {
            return slot;
        }
        let slot = CacheSlot(self.next);
        self.next += 1;
        slot
    }

    pub(super) fn put_back(&mut self, slot: CacheSlot) {
        self.free.insert(slot);
    }
}
