//! The pass of rows through the layers: packed rows together, or one with dLLM-Cache.

use std::ops::Range;

use llada_core::predictor::{CacheSlot, Row};
use tch::Tensor;

use super::Transformer;
use crate::{
    ModelError,
    layers::{
        attention::CacheView,
        feature_cache::{FeatureCache, Part},
        kv_cache::{KvCache, KvCaches},
        packing::{Packing, Piece, ROUND, Selection, round_up},
    },
};

impl Transformer {
    /// Computes `rows`, each of which has at least one wanted position, as one packed batch.
    ///
    /// # Shapes
    /// -> (wanted or more, d) for each row.
    pub(super) fn forward_packed(&mut self, rows: &[&Row<'_>]) -> Result<Vec<Tensor>, ModelError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut caches = KvCaches { slots: rows.iter().map(|row| row.cache).collect(), ..Default::default() };
        for row in rows {
            if let Some(slot) = row.cache
                && !caches.by_slot.contains_key(&slot)
            {
                caches.by_slot.insert(slot, self.take_kv_cache(slot, row));
            }
        }
        let states = self.run_packed(rows, &mut caches);
        // Caches are put back even after a failure. A repeated forward writes the same keys and values to the same
        // places, so a half-written span does no harm.
        caches.by_slot.retain(|_, cache| cache.is_filled(self.blocks.len()));
        self.kv_caches.append(&mut caches.by_slot);
        states
    }

    fn run_packed(&self, rows: &[&Row<'_>], caches: &mut KvCaches) -> Result<Vec<Tensor>, ModelError> {
        let Some((last, others)) = self.blocks.split_last() else { return Ok(Vec::new()) };
        let mask_id = self.config.mask_token_id;
        // For each row, the ids of its computed positions, then a mask for each of its shadows.
        let mut ids: Vec<i64> = Vec::new();
        let (mut pieces, mut selections) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            let computed = self.computed(row);
            ids.extend(row.ids[computed.clone()].iter().map(|&id| i64::from(id)));
            ids.extend(shadows(row).iter().map(|_| i64::from(mask_id)));
            let mut tokens = Vec::with_capacity(row.wanted.len());
            for (shadow, &position) in row.wanted.iter().enumerate() {
                // The hidden state of a position with a token has seen that token. The prediction is therefore read
                // from its shadow, a mask in its place.
                let by_shadow = row.shadowed && row.ids[position] != mask_id;
                let source = self.config.predicted_from(position) - computed.start;
                tokens.push(if by_shadow { computed.len() + shadow } else { source });
            }
            selections.push(Selection { tokens, lowest: self.config.predicted_from(row.wanted[0]) });
            pieces.push(Piece {
                computed,
                positions: row.positions,
                shadows: shadows(row),
                block_length: row.block_length,
            });
        }
        let ids = Tensor::f_from_slice(&ids)?.f_to_device(self.device)?;
        let packing = Packing::new(&pieces, self.device)?;
        let mut x = self.embedding.f_index_select(0, &ids)?;
        // One call of attention for all rows may round them differently than a call for each: on a CPU libtorch chooses by
        // their number and that of threads whether to pack what it multiplies.
        let by_row = self.device == tch::Device::Cpu || !caches.by_slot.is_empty();
        // Every token needs the hidden states that the next layer's keys and values are computed from. After the last
        // layer's attention nothing reads the others, so from there on only the wanted tokens are computed.
        for (layer, block) in others.iter().enumerate() {
            let view = CacheView { caches: by_row.then_some(&mut *caches), layer };
            x = block.forward(&x, &packing, &self.rope, view)?;
        }
        let wanted = packing.select(&selections, self.device)?;
        let view = CacheView { caches: by_row.then_some(caches), layer: others.len() };
        let x = self.final_norm.forward(&last.forward_wanted(&x, &packing, &wanted, &self.rope, view)?)?;
        wanted.packing.spans.iter().map(|span| span.of(&x)).collect()
    }

    /// Computes a row with dLLM-Cache: all positions, whose state is then kept under the slot, or the `count` positions
    /// whose values differ most from the kept state.
    ///
    /// # Shapes
    /// -> (wanted or more, d).
    pub(super) fn forward_partial(&mut self, row: &Row<'_>, count: usize) -> Result<Tensor, ModelError> {
        let Range { start, end } = self.computed(row);
        let ids = self.on_device(row.ids[start..end].iter().map(|&id| i64::from(id)))?;
        let positions = self.on_device((start..end).map(|index| row.position(index) as i64))?;
        let mut x = self.embedding.f_index_select(0, &ids)?;
        // The state is out of the map while it is written to. After a failure it would mix two forwards, so it is
        // dropped.
        let old = row.cache.and_then(|slot| self.feature_caches.remove(&slot));
        let cache = match old {
            Some(cache) if !row.recompute.is_whole(row.ids.len()) => {
                let part = Part { positions, start: start as i64, count: count as i64 };
                for (block, layer) in self.blocks.iter().zip(&cache.layers) {
                    x = block.forward_partial(&x, &part, &self.rope, layer)?;
                }
                cache
            }
            _ => {
                let mut layers = Vec::with_capacity(self.blocks.len());
                for block in &self.blocks {
                    let (out, layer) = block.forward_recording(&x, &positions, &self.rope)?;
                    x = out;
                    layers.push(layer);
                }
                FeatureCache { length: row.ids.len(), positions: row.positions.map(<[usize]>::to_vec), layers }
            }
        };
        if let Some(slot) = row.cache {
            self.feature_caches.insert(slot, cache);
        }
        let wanted = round_up(row.wanted, ROUND).map(|position| (self.config.predicted_from(position) - start) as i64);
        self.final_norm.forward(&x.f_index_select(0, &self.on_device(wanted)?)?)
    }

    /// # Shapes
    /// -> (values) i64.
    fn on_device(&self, values: impl Iterator<Item = i64>) -> Result<Tensor, ModelError> {
        Ok(Tensor::f_from_slice(&values.collect::<Vec<_>>())?.f_to_device(self.device)?)
    }

    /// Returns the positions of a row that are computed. If logits are shifted, they include the one before the span,
    /// which predicts the first position of the span.
    fn computed(&self, row: &Row<'_>) -> Range<usize> {
        let range = row.recompute.range(row.ids.len());
        self.config.predicted_from(range.start)..range.end
    }

    /// Takes the KV cache of a row out of the map, fitted to the row, or creates an empty one.
    fn take_kv_cache(&mut self, slot: CacheSlot, row: &Row<'_>) -> KvCache {
        let length = row.ids.len();
        match self.kv_caches.remove(&slot) {
            Some(cache) if cache.length == length || !row.recompute.is_whole(length) => cache.of_row(row),
            _ => KvCache::new(row),
        }
    }
}

/// Returns the positions of a row that have shadows.
fn shadows<'a>(row: &Row<'a>) -> &'a [usize] {
    if row.shadowed { row.wanted } else { &[] }
}
