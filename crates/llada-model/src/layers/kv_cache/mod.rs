//! The KV cache: the keys and values of a row, kept from one forward to the next.
//!
//! Keys are kept after rotation. A forward over part of a row overwrites the keys and values at its positions, so
//! attention reads those of a row in one piece. [`memory`] is where they lie, and `rows` what attention does with them.

pub(crate) mod memory;
mod rows;
mod stack;

use std::collections::BTreeMap;

use llada_core::predictor::{CacheSlot, Row};
use tch::Device;

use self::memory::{KvMemory, Lane};
use super::drift::Drift;
use crate::ModelError;

/// What is known of the keys and values of one row.
#[derive(Debug)]
pub(crate) struct KvCache {
    /// The length of the row, in tokens.
    pub(crate) length: usize,
    /// The positions of its tokens, if the row is a part of a sequence.
    pub(crate) positions: Option<Vec<usize>>,
    /// How far the present forward moves values, if that is measured.
    drift: Option<Drift>,
    /// Where they lie.
    pub(crate) lane: Lane,
    /// The number of layers that are filled. The first forward, which is over the whole row, fills all.
    filled: usize,
}

/// The KV caches of a model. Rows that share a slot have one cache.
#[derive(Debug, Default)]
pub(crate) struct KvCaches {
    by_slot: BTreeMap<CacheSlot, KvCache>,
    pub(crate) memory: KvMemory,
    /// The slot of each row of the present forward, if it has one.
    slots: Vec<Option<CacheSlot>>,
}

impl KvCaches {
    /// Creates the caches of a model, of which there are none yet.
    pub(crate) fn new(memory: KvMemory) -> Self {
        Self { memory, ..Self::default() }
    }

    /// Returns the cache of a slot.
    pub(crate) fn get(&self, slot: CacheSlot) -> Option<&KvCache> {
        self.by_slot.get(&slot)
    }

    /// Returns the cache of a row of the present forward.
    pub(crate) fn of_row(&self, row: usize) -> Option<&KvCache> {
        self.get((*self.slots.get(row)?)?)
    }

    /// Returns true if a row of the present forward has a cache.
    pub(crate) fn are_used(&self) -> bool {
        self.slots.iter().any(Option::is_some)
    }

    /// Begins a forward over `rows`: fits their caches to them, makes those that are missing, and returns the order in which
    /// the rows are to be computed, as indices.
    pub(crate) fn begin(&mut self, rows: &[&Row<'_>], device: Device) -> Result<Vec<usize>, ModelError> {
        self.slots = rows.iter().map(|row| row.cache).collect();
        for (index, row) in rows.iter().enumerate() {
            if let Some(slot) = row.cache
                && !self.slots[..index].contains(&row.cache)
            {
                let drift = row.measures_drift.then(|| Drift::new(row.wanted, device)).transpose()?;
                self.fit(slot, row, drift)?;
            }
        }
        let order = self.order();
        self.slots = order.iter().map(|&row| rows[row].cache).collect();
        Ok(order)
    }

    /// Fits the cache of `slot` to `row`, which may have grown, or be another that is computed as a whole.
    fn fit(&mut self, slot: CacheSlot, row: &Row<'_>, drift: Option<Drift>) -> Result<(), ModelError> {
        let length = row.ids.len();
        let is_kept = |cache: &&KvCache| cache.length == length || !row.recompute.is_whole(length);
        let (lane, filled) = match self.by_slot.get(&slot).filter(is_kept) {
            Some(cache) => (self.memory.grow(cache.lane, length)?, cache.filled),
            None => {
                self.release(slot);
                (self.memory.claim(length)?, 0)
            }
        };
        let positions = row.positions.map(<[usize]>::to_vec);
        self.by_slot.insert(slot, KvCache { length, positions, drift, lane, filled });
        Ok(())
    }

    /// Ends a forward of a model of so many layers, and returns how far it has moved the values of each row, where that was
    /// measured. A cache that it has not filled is dropped. Others are kept even after a failure: a repeated forward writes
    /// the same keys and values to the same places, so a half-written span does no harm.
    pub(crate) fn end(&mut self, layers: usize) -> Vec<Option<Drift>> {
        let mut drifts = Vec::with_capacity(self.slots.len());
        for slot in std::mem::take(&mut self.slots) {
            let cache = slot.and_then(|slot| self.by_slot.get_mut(&slot));
            drifts.push(cache.and_then(|cache| cache.drift.take()));
            if let Some(slot) = slot.filter(|&slot| !self.is_filled(slot, layers)) {
                self.release(slot);
            }
        }
        drifts
    }

    /// Returns true if a slot has a cache of which so many layers are filled.
    pub(crate) fn is_filled(&self, slot: CacheSlot, layers: usize) -> bool {
        self.get(slot).is_some_and(|cache| cache.filled == layers)
    }

    /// Drops the cache of a slot.
    pub(crate) fn release(&mut self, slot: CacheSlot) {
        if let Some(cache) = self.by_slot.remove(&slot) {
            self.memory.release(cache.lane);
        }
    }

    /// Returns the rows in the order in which most of them are computed in one call: by lane, and of rows that share a slot
    /// first the first of each slot.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.slots.len()).collect();
        if self.memory.is_stacked() {
            let lane = |row| self.of_row(row).map(|cache| cache.lane);
            let before = |row: usize| self.slots[..row].iter().filter(|&&slot| slot == self.slots[row]).count();
            order.sort_by_key(|&row| (before(row), lane(row)));
        }
        order
    }
}
