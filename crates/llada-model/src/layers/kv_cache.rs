//! The KV cache: the keys and values of a row, kept from one forward to the next.
//!
//! Keys are kept after rotation. A forward over part of a row overwrites the keys and values at its positions, so
//! attention reads one contiguous piece of memory. If a row outgrows the memory, it is doubled, so that a row that
//! grows block by block is copied only a logarithmic number of times.

use std::collections::BTreeMap;

use llada_core::predictor::{CacheSlot, Row};
use tch::Tensor;

use super::{drift::Drift, packing::Span};
use crate::ModelError;

/// The keys and values of one row in all layers.
#[derive(Debug)]
pub(crate) struct KvCache {
    /// The length of the row, in tokens.
    pub(crate) length: usize,
    /// The positions of its tokens, if the row is a part of a sequence.
    pub(crate) positions: Option<Vec<usize>>,
    /// How far the present forward moves values, if that is measured.
    pub(crate) drift: Option<Drift>,
    /// Keys and values by layer, (capacity, kv heads x head_dim) each, with a capacity of at least `length`. The first
    /// forward, which is over the whole row, fills them.
    layers: Vec<[Tensor; 2]>,
}

/// The KV caches of the rows of a packing. Rows that share a slot have one cache.
#[derive(Debug, Default)]
pub(crate) struct KvCaches {
    pub(crate) by_slot: BTreeMap<CacheSlot, KvCache>,
    /// The slot of each row, if it has one.
    pub(crate) slots: Vec<Option<CacheSlot>>,
}

impl KvCaches {
    pub(crate) fn of_row(&mut self, row: usize) -> Option<&mut KvCache> {
        self.by_slot.get_mut(self.slots.get(row)?.as_ref()?)
    }
}

impl KvCache {
    /// Creates the empty cache of a row.
    pub(crate) fn new(row: &Row<'_>) -> Self {
        Self { length: row.ids.len(), positions: row.positions.map(<[usize]>::to_vec), drift: None, layers: Vec::new() }
    }

    /// Returns the cache with its memory used for `row`: the same row after it has grown, or one that is computed as a
    /// whole.
    pub(crate) fn of_row(self, row: &Row<'_>) -> Self {
        Self { layers: self.layers, ..Self::new(row) }
    }

    /// Returns true if all `layers` of the model are filled. They are not if the first forward failed.
    pub(crate) fn is_filled(&self, layers: usize) -> bool {
        self.layers.len() == layers
    }

    /// Returns the addresses of the memory of all layers, if it has room for the row.
    pub(crate) fn memory(&self) -> Option<Vec<usize>> {
        let has_room = self.layers.iter().flatten().all(|cached| cached.size()[0] >= self.length as i64);
        has_room.then(|| self.layers.iter().flatten().map(|cached| cached.data_ptr() as usize).collect())
    }

    /// Stores the computed keys and values of the tokens in `span`, or at `places` in the row, and returns those of the whole
    /// row followed by those of the shadows, which are not stored. They are views: the next row that shares the cache
    /// overwrites them.
    ///
    /// # Shapes
    /// (tokens + shadows, kv heads x head_dim) each, places (tokens) i64 -> (length + shadows, kv heads x head_dim) each.
    pub(crate) fn update(
        &mut self,
        layer: usize,
        span: &Span,
        places: Option<&Tensor>,
        computed: [Tensor; 2],
    ) -> Result<[Tensor; 2], ModelError> {
        let tokens = span.length - span.shadows;
        let [k, v] = computed.each_ref().map(|computed| computed.f_narrow(0, 0, tokens));
        let of_tokens = [k?, v?];
        if layer == self.layers.len() {
            self.layers.push(of_tokens);
            return Ok(computed);
        }
        let length = self.length as i64;
        if let Some(drift) = &mut self.drift {
            drift.compare(&self.layers[layer][1], &of_tokens[1], span.first)?;
        }
        for (cached, of_tokens) in self.layers[layer].iter_mut().zip(&of_tokens) {
            grow(cached, length)?;
            match places {
                Some(places) => drop(cached.f_index_copy_(0, places, of_tokens)?),
                None => cached.f_narrow(0, span.first, tokens)?.f_copy_(of_tokens)?,
            }
        }
        let [k, v] = self.layers[layer].each_ref().map(|cached| cached.f_narrow(0, 0, length));
        let (k, v) = (k?, v?);
        if span.shadows == 0 {
            return Ok([k, v]);
        }
        let [k_shadow, v_shadow] = computed.map(|computed| computed.f_narrow(0, tokens, span.shadows));
        Ok([Tensor::f_cat(&[k, k_shadow?], 0)?, Tensor::f_cat(&[v, v_shadow?], 0)?])
    }
}

/// Extends the memory to at least `length` tokens.
///
/// # Shapes
/// cached (capacity, width) -> (at least length, width).
fn grow(cached: &mut Tensor, length: i64) -> Result<(), ModelError> {
    let (capacity, width) = cached.size2()?;
    if capacity < length {
        let larger = Tensor::f_empty([length.max(2 * capacity), width], (cached.kind(), cached.device()))?;
        larger.f_narrow(0, 0, capacity)?.f_copy_(cached)?;
        *cached = larger;
    }
    Ok(())
}
