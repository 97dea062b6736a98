//! What attention writes to the caches of the rows of a forward, and what it reads.
//!
//! Rows whose keys lie one after another in memory are a group, which attention takes in one call.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::KvCaches;
use crate::{
    ModelError,
    layers::{
        packing::{Packing, Span},
        visibility::Visibility,
    },
};

/// The mask that hides keys is as wide as a multiple of this, so that libtorch need not copy it.
const ALIGNED: usize = 16;

impl KvCaches {
    /// Returns the rows of the present forward in groups, one after another: rows whose lanes follow one another, with as many
    /// queries and computed keys, and without shadows; and rows alone.
    pub(crate) fn groups(&self, queries: &Packing, keys: &Packing) -> Vec<Range<usize>> {
        let mut groups: Vec<Range<usize>> = Vec::new();
        for row in 0..keys.spans.len() {
            match groups.last_mut() {
                Some(group) if self.goes_with_last(row, queries, keys) => group.end = row + 1,
                _ => groups.push(row..row + 1),
            }
        }
        groups
    }

    fn goes_with_last(&self, row: usize, queries: &Packing, keys: &Packing) -> bool {
        let [last, this] = [row - 1, row].map(|row| self.of_row(row).map(|cache| cache.lane));
        let follows = last.zip(this).is_some_and(|(last, this)| this.follows(last));
        let is_like = |spans: &[Span]| {
            let (last, this) = (&spans[row - 1], &spans[row]);
            last.length == this.length && last.shadows + this.shadows == 0
        };
        follows && is_like(&queries.spans) && is_like(&keys.spans)
    }

    /// Stores the computed keys and values of a group, but not those of shadows, and returns those of its whole rows, each
    /// followed by those of its shadows: views, which the next group that shares a cache overwrites. `None` if the group is
    /// a row without a cache.
    ///
    /// # Shapes
    /// computed (tokens + shadows of all groups, kv heads x head_dim) each -> (length + shadows, kv heads x head_dim) each of a
    /// row, (rows, length of the longest, kv heads x head_dim) each of several.
    pub(crate) fn update(
        &mut self,
        layer: usize,
        group: Range<usize>,
        keys: &Packing,
        computed: &[Tensor; 2],
    ) -> Result<Option<[Tensor; 2]>, ModelError> {
        let Some(first) = self.of_row(group.start).map(|cache| cache.lane) else { return Ok(None) };
        for row in group.clone() {
            self.store(layer, row, keys, computed)?;
        }
        if let Some(places) = &keys.places {
            let places = keys.of_rows(group.clone(), places)?;
            for (mut cached, computed) in self.memory.beside(layer, first).into_iter().zip(computed) {
                let _ = cached.f_index_copy_(0, &places, &keys.of_rows(group.clone(), computed)?)?;
            }
        }
        if group.len() > 1 {
            let longest = group.clone().map(|row| self.length(row)).max().unwrap_or_default();
            return self.memory.rows(layer, first, group.len(), longest).map(Some);
        }
        let of_tokens = self.memory.row(layer, first, self.length(group.start))?;
        let span = &keys.spans[group.start];
        if span.shadows == 0 {
            return Ok(Some(of_tokens));
        }
        let [k, v] = [0, 1].map(|which| {
            let of_shadows = computed[which].f_narrow(0, span.start + span.length - span.shadows, span.shadows)?;
            Tensor::f_cat(&[&of_tokens[which], &of_shadows], 0)
        });
        Ok(Some([k?, v?]))
    }

    /// Compares the computed values of a row that has a cache with the stored ones, if its drift is measured; and stores its
    /// keys and values, if the packing has no places for those of all rows.
    fn store(&mut self, layer: usize, row: usize, keys: &Packing, computed: &[Tensor; 2]) -> Result<(), ModelError> {
        let slot = self.slots[row].as_ref();
        let Some(cache) = slot.and_then(|slot| self.by_slot.get_mut(slot)) else { return Ok(()) };
        self.memory.open(layer, cache.lane, computed)?;
        let is_first = cache.filled == layer;
        cache.filled += usize::from(is_first);
        let drift = cache.drift.as_mut().filter(|_| !is_first);
        if drift.is_none() && keys.places.is_some() {
            return Ok(());
        }
        let span = &keys.spans[row];
        let tokens = span.length - span.shadows;
        let [k, v] = computed.each_ref().map(|computed| computed.f_narrow(0, span.start, tokens));
        let of_tokens = [k?, v?];
        let cached = self.memory.row(layer, cache.lane, cache.length)?;
        if let Some(drift) = drift {
            drift.compare(&cached[1], &of_tokens[1], span.first)?;
        }
        if keys.places.is_none() {
            for (cached, of_tokens) in cached.iter().zip(&of_tokens) {
                cached.f_narrow(0, span.first, tokens)?.f_copy_(of_tokens)?;
            }
        }
        Ok(())
    }

    /// Returns a mask of the keys after the end of each row, for groups of rows that are not equally long; `None` if there are
    /// none.
    ///
    /// # Shapes
    /// -> (rows, length of the longest row or more): 0 at the tokens of a row, −∞ after them.
    pub(crate) fn ends(&self, options: (Kind, Device)) -> Result<Option<Tensor>, ModelError> {
        let lengths: Vec<usize> = (0..self.slots.len()).map(|row| self.length(row)).collect();
        if !self.memory.is_stacked() || lengths.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(None);
        }
        let longest = lengths.iter().max().map_or(0, |longest| longest.next_multiple_of(ALIGNED));
        let ends = Tensor::f_zeros([lengths.len() as i64, longest as i64], options)?;
        for (row, &length) in lengths.iter().enumerate() {
            let after = ends.f_select(0, row as i64)?.f_narrow(0, length as i64, (longest - length) as i64);
            let _ = after?.f_fill_(f64::NEG_INFINITY)?;
        }
        Ok(Some(ends))
    }

    /// Returns the keys that the queries of a group of several rows attend to: all of their own row. `ends` is that of the
    /// forward.
    pub(crate) fn seen(&self, group: Range<usize>, ends: Option<&Tensor>) -> Result<Visibility, ModelError> {
        let lengths: Vec<usize> = group.clone().map(|row| self.length(row)).collect();
        let longest = lengths.iter().max().copied().unwrap_or_default();
        let Some(ends) = ends.filter(|_| lengths.iter().any(|&length| length < longest)) else {
            return Ok(Visibility::All);
        };
        let (rows, width) = (group.len() as i64, ends.size2()?.1);
        // Not `unsqueeze`: by the strides that it gives, libtorch would take the mask for unaligned.
        let ends = ends.f_narrow(0, group.start as i64, rows)?;
        Ok(Visibility::Ends(ends.f_as_strided([rows, 1, 1, longest as i64], [width, width, width, 1], None)?))
    }

    /// Returns the length of a row of the present forward, or zero if it has no cache.
    fn length(&self, row: usize) -> usize {
        self.of_row(row).map_or(0, |cache| cache.length)
    }
}
