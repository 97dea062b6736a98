//! The model for inference: a Transformer over ragged batches whose head is applied to the wanted positions only.

mod block_step;
mod check;
mod graph;
mod groups;
mod layout;
mod pass;

use std::{collections::BTreeMap, fmt, path::Path};

use llada_core::predictor::{CacheSlot, MaskPredictor, Recompute, Row};
use tch::Tensor;

use self::{
    block_step::BlockSteps,
    groups::{groups, most_together},
};
use crate::{
    Adapter, AttentionPattern, Device, ModelConfig, ModelError, Precision, TransformerHidden,
    batch::banned_ids,
    hidden::{Head, HiddenRow},
    layers::{
        block::TransformerBlock,
        feature_cache::FeatureCache,
        kv_cache::{KvCaches, memory::KvMemory},
        linear::Linear,
        norm::RmsNorm,
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
    /// The number of tokens up to which rows pass through the blocks together, if it has a limit.
    most_together: Option<usize>,
    /// The keys and values of rows, by slot.
    kv_caches: KvCaches,
    /// dLLM-Cache state by slot.
    feature_caches: BTreeMap<CacheSlot, FeatureCache>,
    /// The CUDA graphs of block steps, if there can be any.
    block_steps: Option<BlockSteps>,
    /// Why there are none any more.
    graph_failure: Option<ModelError>,
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
        let most_together = most_together(device, loader.rounds_rows_alone());
        let _mapped = loader.finish()?;
        let banned = banned_ids(&config);
        let rope = Rope::new(&config, device)?;
        let kv_caches = KvCaches::new(KvMemory::new(device, config.attention));
        let (block_steps, graph_failure) = match BlockSteps::open(&config, precision, device) {
            Ok(steps) => (steps, None),
            Err(error) => (None, Some(error)),
        };
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
            most_together,
            kv_caches,
            feature_caches: BTreeMap::new(),
            block_steps,
            graph_failure,
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

    /// The same model without CUDA graphs, of which it makes use on a GPU: the steps of a request with a KV cache, over one
    /// block of it, launch the same kernels again and again, so they are recorded and launched together. Without graphs each
    /// kernel is launched alone.
    #[must_use]
    pub fn without_cuda_graphs(self) -> Self {
        Self { block_steps: None, graph_failure: None, ..self }
    }

    /// Returns why no CUDA graph could be recorded, if it was tried. The model then goes on without.
    pub fn graph_failure(&self) -> Option<&ModelError> {
        self.graph_failure.as_ref()
    }

    /// Returns the precision of computation, which is the requested one if the device supports it ([`Precision::on`]).
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Computes the hidden states of the rows of `batch` that want any.
    fn hidden_rows(&mut self, batch: &[Row<'_>]) -> Result<Vec<Option<HiddenRow>>, ModelError> {
        let mut rows: Vec<Option<HiddenRow>> = Vec::with_capacity(batch.len());
        rows.resize_with(batch.len(), || None);
        for group in groups(batch, self.most_together) {
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
            for (row, hidden) in done {
                rows[row] = Some(hidden);
            }
        }
        Ok(rows)
    }

    /// Adds ids that the model must never emit, such as those without a token in the tokenizer.
    pub fn ban(&mut self, ids: impl IntoIterator<Item = u32>) {
        self.banned.extend(ids);
        self.banned.sort_unstable();
        self.banned.dedup();
    }
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
        let rows = match self.hidden_rows(batch) {
            Ok(rows) => rows,
            Err(error) => {
                // A repetition would compare new values with themselves, so what is measured begins anew.
                let measured = batch.iter().filter(|row| row.measures_drift);
                measured.filter_map(|row| row.cache).for_each(|slot| self.release(slot));
                return Err(error);
            }
        };
        Ok(TransformerHidden {
            head: Head::Borrowed(&self.head),
            device: self.device,
            banned: &self.banned,
            rows,
            top_tokens: None,
        })
    }

    fn release(&mut self, slot: CacheSlot) {
        self.kv_caches.release(slot);
        self.feature_caches.remove(&slot);
        if let Some(steps) = &mut self.block_steps {
            steps.release(slot);
        }
    }

    fn kept_bytes(&self, length: usize, recompute: &Recompute) -> usize {
        let keys_and_values = 2 * self.config.num_key_value_heads * self.config.head_dim;
        let outputs = match recompute {
            Recompute::LeastSimilar { .. } => 2 * self.config.hidden_size,
            Recompute::All | Recompute::Span(_) => 0,
        };
        let length = match recompute {
            Recompute::LeastSimilar { .. } => length,
            Recompute::All | Recompute::Span(_) => self.kv_caches.memory.capacity(length),
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
