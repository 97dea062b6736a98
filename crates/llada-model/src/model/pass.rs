//! The pass of rows through the layers: packed rows together, or one with dLLM-Cache.

use std::ops::Range;

use llada_core::predictor::Row;
use tch::Tensor;

use super::{
    Transformer,
    graph::Key,
    layout::{Layout, computed},
};
use crate::{
    ModelError,
    hidden::HiddenRow,
    layers::{
        attention::CacheView,
        drift::Drift,
        feature_cache::{FeatureCache, Part},
        kv_cache::KvCaches,
        packing::{Packing, ROUND, Wanted, round_up},
    },
    torch::tensor::upload,
};

impl Transformer {
    /// Computes `rows`, each of which has at least one wanted position, as one packed batch.
    pub(super) fn forward_packed(&mut self, rows: &[&Row<'_>]) -> Result<Vec<HiddenRow>, ModelError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut caches = std::mem::take(&mut self.kv_caches);
        let computed = self.forward_over(&mut caches, rows);
        let drifts = caches.end(self.blocks.len());
        self.kv_caches = caches;
        let (order, states) = computed?;
        let mut hidden = Vec::with_capacity(rows.len());
        for ((row, states), drift) in order.into_iter().zip(states).zip(drifts) {
            let drift = drift.map_or(Ok(None), Drift::finish)?;
            hidden.push((row, HiddenRow { states, wanted: rows[row].wanted.len(), drift }));
        }
        hidden.sort_by_key(|&(row, _)| row);
        Ok(hidden.into_iter().map(|(_, hidden)| hidden).collect())
    }

    /// Computes `rows` over their caches, in the order that is returned first.
    ///
    /// # Shapes
    /// -> (wanted or more, d) for each row.
    fn forward_over(
        &mut self,
        caches: &mut KvCaches,
        rows: &[&Row<'_>],
    ) -> Result<(Vec<usize>, Vec<Tensor>), ModelError> {
        let order = caches.begin(rows, self.device)?;
        let rows: Vec<&Row<'_>> = order.iter().map(|&row| rows[row]).collect();
        let key = self.block_steps.as_ref().and_then(|_| Key::of(&self.config, &rows, caches, &self.rope));
        let states = match key {
            Some(key) => self.run_block_step(&key, &rows, caches)?,
            None => self.run_packed(&rows, caches)?,
        };
        Ok((order, states))
    }

    /// Computes `rows` over these caches, launching kernel by kernel.
    ///
    /// # Shapes
    /// -> (wanted or more, d) for each row.
    pub(super) fn run_packed(&self, rows: &[&Row<'_>], caches: &mut KvCaches) -> Result<Vec<Tensor>, ModelError> {
        let layout = Layout::new(&self.config, rows);
        let ids = upload(&layout.ids, self.device)?;
        let packing = Packing::new(&layout.pieces, self.device)?;
        let wanted = packing.select(&layout.selections, self.device)?;
        // One call of attention for all rows may round them differently than a call for each: on a CPU libtorch chooses by
        // their number and that of threads whether to pack what it multiplies.
        let by_row = self.device == tch::Device::Cpu || caches.are_used();
        let x = self.through_layers(&ids, &packing, Some(&wanted), by_row.then_some(caches))?;
        wanted.packing.spans.iter().map(|span| span.of(&x)).collect()
    }

    /// Computes the normed last hidden states of the wanted tokens, or of all. Under full attention nothing here, and nothing in
    /// a dense model's layers of f32 or bf16, reads a tensor or copies to the device, so that a CUDA graph can record it.
    ///
    /// # Shapes
    /// ids (tokens) i64 -> (wanted or tokens, d).
    pub(super) fn through_layers(
        &self,
        ids: &Tensor,
        packing: &Packing,
        wanted: Option<&Wanted>,
        mut caches: Option<&mut KvCaches>,
    ) -> Result<Tensor, ModelError> {
        let mut x = self.embedding.f_index_select(0, ids)?;
        let ends = caches.as_deref().map_or(Ok(None), |caches| caches.ends((x.kind(), x.device())))?;
        for (layer, block) in self.blocks.iter().enumerate() {
            let view = CacheView { caches: caches.as_deref_mut(), ends: ends.as_ref(), layer };
            // Every token needs the hidden states that the next layer's keys and values are computed from. After the last
            // layer's attention nothing reads the others, so from there on only the wanted tokens are computed.
            x = match wanted.filter(|_| layer + 1 == self.blocks.len()) {
                Some(wanted) => block.forward_wanted(&x, packing, wanted, &self.rope, view)?,
                None => block.forward(&x, packing, &self.rope, view)?,
            };
        }
        self.final_norm.forward(&x)
    }

    /// Computes a row with dLLM-Cache: all positions, whose state is then kept under the slot, or the `count` positions
    /// whose values differ most from the kept state.
    pub(super) fn forward_partial(&mut self, row: &Row<'_>, count: usize) -> Result<HiddenRow, ModelError> {
        let Range { start, end } = computed(&self.config, row);
        let ids: Vec<i64> = row.ids[start..end].iter().map(|&id| i64::from(id)).collect();
        let positions: Vec<i64> = (start..end).map(|index| row.position(index) as i64).collect();
        let [ids, positions] = [upload(&ids, self.device)?, upload(&positions, self.device)?];
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
        let source = |position| (self.config.predicted_from(position) - start) as i64;
        let wanted: Vec<i64> = round_up(row.wanted, ROUND).map(source).collect();
        let states = self.final_norm.forward(&x.f_index_select(0, &upload(&wanted, self.device)?)?)?;
        Ok(HiddenRow { states, wanted: row.wanted.len(), drift: None })
    }
}
