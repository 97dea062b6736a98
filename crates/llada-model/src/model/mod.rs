//! The model for inference: a Transformer over ragged batches whose head is applied to the wanted positions only.

mod check;

use std::{collections::BTreeMap, fmt, ops::Range, path::Path};

use llada_core::predictor::{CacheSlot, MaskPredictor, Recompute, Row};
use tch::Tensor;

use crate::{
    Adapter, AttentionPattern, Device, ModelConfig, ModelError, Precision, TransformerHidden,
    batch::banned_ids,
    hidden::{Head, HiddenRow},
    layers::{
        attention::CacheView,
        block::TransformerBlock,
        feature_cache::{FeatureCache, Part},
        kv_cache::{KvCache, KvCaches},
        linear::Linear,
        norm::RmsNorm,
        packing::{Packing, Piece, ROUND, Selection, round_up},
        rope::Rope,
    },
    load::Loader,
    weights::{MappedTensor, role::Role, source::WeightSource},
};

/// A checkpoint in memory, of any supported [`Family`](crate::Family).
///
/// A model can be sent to another thread, but not be shared between threads.
///
/// ```no_run
/// use llada_core::predictor::{Hidden, MaskPredictor, Row};
/// use llada_model::{Device, Dtype, Transformer};
///
/// let mut model = Transformer::load("LLaDA-8B-Instruct".as_ref(), Device::Cpu, Dtype::Bf16)?;
/// let mask = model.mask_id();
/// let mut logits = Vec::new();
/// model.forward(&[Row::new(&[126080, mask, mask], &[1, 2])])?.logits(0, 0..2, &mut logits)?;
/// assert_eq!(logits.len(), 2 * model.padded_vocab_size());
/// # Ok::<(), llada_model::ModelError>(())
/// ```
pub struct Transformer {
    config: ModelConfig,
    precision: Precision,
    device: tch::Device,
    embedding: Tensor,
    rope: Rope,
    blocks: Vec<TransformerBlock>,
    final_norm: RmsNorm,
    head: Linear,
    banned: Vec<u32>,
    /// True if the blocks round each row of a product as if it were alone.
    rounds_rows_alone: bool,
    /// The keys and values of rows, by slot.
    kv_caches: BTreeMap<CacheSlot, KvCache>,
    /// dLLM-Cache state by slot.
    feature_caches: BTreeMap<CacheSlot, FeatureCache>,
    /// The memory into which tensors point. Fields are dropped in order, so it outlives them.
    _mapped: Vec<MappedTensor>,
}

impl Transformer {
    /// Loads the checkpoint in `folder` (`config.json` and safetensors).
    ///
    /// # Errors
    /// The config is refused; a tensor is missing or unexpected, or has another shape or dtype than the config calls
    /// for; a file is damaged; the device does not exist.
    pub fn load(folder: &Path, device: Device, precision: impl Into<Precision>) -> Result<Self, ModelError> {
        Self::read(folder, None, device, precision.into())
    }

    /// Loads the checkpoint in `folder` with `adapter`, whose part is computed beside the layers and not merged into their
    /// weights.
    ///
    /// # Errors
    /// Those of [`load`](Self::load); the adapter does not fit the checkpoint.
    pub fn load_with_adapter(
        folder: &Path,
        adapter: &Adapter,
        device: Device,
        precision: impl Into<Precision>,
    ) -> Result<Self, ModelError> {
        Self::read(folder, Some(adapter), device, precision.into())
    }

    fn read(
        folder: &Path,
        adapter: Option<&Adapter>,
        device: Device,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let precision = precision.on(device);
        let config = ModelConfig::load(folder)?;
        let device = device.open()?;
        let mut loader = Loader::new(folder, &config, precision, device)?;
        if let Some(adapter) = adapter {
            loader = loader.with_adapter(adapter)?;
        }
        let embedding = loader.embedding()?;
        // The head is the largest tensor, and while it is converted, it is in memory twice. Loading it before the
        // blocks keeps the peak low.
        let head = loader.head(&embedding)?;
        let mut blocks = Vec::with_capacity(config.num_hidden_layers);
        for layer in 0..config.num_hidden_layers {
            blocks.push(TransformerBlock::new(&mut loader, layer)?);
        }
        let final_norm = loader.norm(Role::FinalNorm, config.hidden_size)?;
        let rounds_rows_alone = loader.rounds_rows_alone();
        let _mapped = loader.finish()?;
        let banned = banned_ids(&config);
        let rope = Rope::new(&config, device)?;
        Ok(Self {
            config,
            precision,
            device,
            embedding,
            rope,
            blocks,
            final_norm,
            head,
            banned,
            rounds_rows_alone,
            kv_caches: BTreeMap::new(),
            feature_caches: BTreeMap::new(),
            _mapped,
        })
    }

    /// Returns the config of the checkpoint.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The same model with the logits of each position as it computes them, where the family shifts them: those of a
    /// position then predict the token after it.
    #[must_use]
    pub fn without_logit_shift(mut self) -> Self {
        self.config.logit_shift = false;
        self
    }

    /// The same model with this attention: a converted one under [`AttentionPattern::Causal`], for instance, is the
    /// autoregressive model that it was made of.
    #[must_use]
    pub fn with_attention(mut self, attention: AttentionPattern) -> Self {
        self.config.attention = attention;
        self.blocks.iter_mut().for_each(|block| block.attention.pattern = attention);
        self
    }

    /// Returns the precision of computation, which is the requested one if the device supports it ([`Precision::on`]).
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Adds ids that the model must never emit, such as those without a token in the tokenizer.
    pub fn ban(&mut self, ids: impl IntoIterator<Item = u32>) {
        self.banned.extend(ids);
        self.banned.sort_unstable();
        self.banned.dedup();
    }

    /// Computes `rows`, each of which has at least one wanted position, as one packed batch.
    ///
    /// # Shapes
    /// -> (wanted or more, d) for each row.
    fn forward_packed(&mut self, rows: &[&Row<'_>]) -> Result<Vec<Tensor>, ModelError> {
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
        // Every token needs the hidden states that the next layer's keys and values are computed from. After the last
        // layer's attention nothing reads the others, so from there on only the wanted tokens are computed.
        let has_caches = !caches.by_slot.is_empty();
        for (layer, block) in others.iter().enumerate() {
            let view = CacheView { caches: has_caches.then_some(&mut *caches), layer };
            x = block.forward(&x, &packing, &self.rope, view)?;
        }
        let wanted = packing.select(&selections, self.device)?;
        let view = CacheView { caches: has_caches.then_some(caches), layer: others.len() };
        let x = self.final_norm.forward(&last.forward_wanted(&x, &packing, &wanted, &self.rope, view)?)?;
        wanted.packing.spans.iter().map(|span| span.of(&x)).collect()
    }

    /// Computes a row with dLLM-Cache: all positions, whose state is then kept under the slot, or the `count` positions
    /// whose values differ most from the kept state.
    ///
    /// # Shapes
    /// -> (wanted or more, d).
    fn forward_partial(&mut self, row: &Row<'_>, count: usize) -> Result<Tensor, ModelError> {
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

    /// Returns the rows of `batch` that have wanted positions, in the groups that pass through the layers together: all of
    /// them on a GPU. On a CPU each is alone, but for states of a sequence, which share a slot and the time that reading
    /// the weights takes, if no product rounds its rows differently for it.
    fn groups(&self, batch: &[Row<'_>]) -> Vec<Vec<usize>> {
        let computed = (0..batch.len()).filter(|&row| !batch[row].wanted.is_empty());
        if self.device != tch::Device::Cpu {
            return vec![computed.collect()];
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut of_slot = BTreeMap::new();
        for row in computed {
            let slot = batch[row].cache.filter(|_| self.rounds_rows_alone);
            if let Some(&group) = slot.and_then(|slot| of_slot.get(&slot)) {
                let group: &mut Vec<usize> = &mut groups[group];
                group.push(row);
                continue;
            }
            if let Some(slot) = slot {
                of_slot.insert(slot, groups.len());
            }
            groups.push(vec![row]);
        }
        groups
    }
}

/// Returns the positions of a row that have shadows.
fn shadows<'a>(row: &Row<'a>) -> &'a [usize] {
    if row.shadowed { row.wanted } else { &[] }
}

impl MaskPredictor for Transformer {
    type Error = ModelError;
    type Hidden<'a> = TransformerHidden<'a>;

    fn padded_vocab_size(&self) -> usize {
        self.config.padded_vocab_size
    }

    fn mask_id(&self) -> u32 {
        self.config.mask_token_id
    }

    fn banned(&self) -> &[u32] {
        &self.banned
    }

    fn takes_parts(&self) -> bool {
        self.config.attention == AttentionPattern::Full
    }

    fn max_sequence_length(&self) -> usize {
        self.config.max_sequence_length
    }

    /// Computes the hidden states of the wanted positions. A row without any is not computed, and its slot is
    /// unchanged.
    fn forward(&mut self, batch: &[Row<'_>]) -> Result<TransformerHidden<'_>, ModelError> {
        self.check(batch)?;
        self.rope.reach(batch.iter().map(Row::extent).max().unwrap_or(0))?;
        let mut rows: Vec<Option<HiddenRow>> = Vec::with_capacity(batch.len());
        rows.resize_with(batch.len(), || None);
        for group in self.groups(batch) {
            let (mut done, mut packed) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
            for row in group {
                match batch[row].recompute {
                    Recompute::LeastSimilar { count, .. } => {
                        done.push((row, self.forward_partial(&batch[row], count)?));
                    }
                    Recompute::All | Recompute::Span(_) => packed.push(row),
                }
            }
            let of_packed: Vec<&Row<'_>> = packed.iter().map(|&row| &batch[row]).collect();
            done.extend(packed.into_iter().zip(self.forward_packed(&of_packed)?));
            for (row, states) in done {
                rows[row] = Some(HiddenRow { states, wanted: batch[row].wanted.len() });
            }
        }
        Ok(TransformerHidden { head: Head::Borrowed(&self.head), device: self.device, banned: &self.banned, rows })
    }

    fn release(&mut self, slot: CacheSlot) {
        self.kv_caches.remove(&slot);
        self.feature_caches.remove(&slot);
    }

    fn kept_bytes(&self, length: usize, recompute: &Recompute) -> usize {
        let keys_and_values = 2 * self.config.num_key_value_heads * self.config.head_dim;
        let outputs = match recompute {
            Recompute::LeastSimilar { .. } => 2 * self.config.hidden_size,
            Recompute::All | Recompute::Span(_) => 0,
        };
        length * self.blocks.len() * (keys_and_values + outputs) * self.embedding.kind().elt_size_in_bytes()
    }
}

impl fmt::Debug for Transformer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transformer")
            .field("config", &self.config)
            .field("precision", &self.precision)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
