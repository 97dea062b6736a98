//! The mask predictor: LLaDA's Transformer over ragged batches, its head on wanted rows alone.

use std::{collections::BTreeMap, fmt, ops::Range, path::Path};

use llada_core::predictor::{MaskPredictor, Pick, Reuse, Row};
use tch::Tensor;

use crate::{
    Device, LladaConfig, ModelError, Precision,
    layers::{
        attention::Memory,
        block::{Block, Source},
        kept::Kept,
        linear::{Input, Linear},
        moved::{KeptRow, Part},
        norm::RmsNorm,
        packing::{Packing, round_up, rounded},
        rope::Rope,
    },
    load::Loader,
    names,
    torch::{pick, shim::Epilogue, tensor},
    weights::Stored,
};

/// Positions whose logits exist at a time where they are not read but picked from.
const PICKED_TOGETHER: usize = 256;

/// A LLaDA checkpoint in memory (LLaDA-8B, LLaDA-1.5, and others of that architecture).
///
/// One thread owns a model: it can be sent to another thread, not shared between two.
///
/// ```no_run
/// use llada_core::predictor::{MaskPredictor, Row};
/// use llada_model::{Device, Dtype, Llada};
///
/// let mut model = Llada::load("LLaDA-8B-Instruct".as_ref(), Device::Cpu, Dtype::Bf16)?;
/// let mask = model.mask_id();
/// model.forward(&[Row::new(&[126080, mask, mask], &[1, 2])])?;
/// let mut logits = Vec::new();
/// model.logits(0, 0..2, &mut logits)?;
/// assert_eq!(logits.len(), 2 * model.logits_width());
/// # Ok::<(), llada_model::ModelError>(())
/// ```
pub struct Llada {
    config: LladaConfig,
    precision: Precision,
    device: tch::Device,
    embedding: Tensor,
    rope: Rope,
    blocks: Vec<Block>,
    ln_f: RmsNorm,
    head: Linear,
    banned: Vec<u32>,
    /// Keys and values by slot.
    kept: BTreeMap<usize, Kept>,
    /// Of rows of which only what has moved is computed, by slot.
    kept_rows: BTreeMap<usize, KeptRow>,
    /// By row of the last batch, if it had wanted positions.
    hidden: Vec<Option<Hidden>>,
    /// Dropped after the tensors that point into it.
    _mapped: Vec<Stored>,
}

/// The normed last hidden states of a row's wanted positions.
struct Hidden {
    /// (wanted or more, d).
    states: Tensor,
    wanted: usize,
}

impl Llada {
    /// Loads the checkpoint in `folder` (`config.json` and safetensors).
    ///
    /// # Errors
    /// The config is refused; a tensor is missing, unexpected, misshaped or of a foreign dtype; a file is truncated or
    /// hostile; the device is not there.
    pub fn load(folder: &Path, device: Device, precision: impl Into<Precision>) -> Result<Self, ModelError> {
        let precision = precision.into().on(device);
        let config = LladaConfig::load(folder)?;
        let device = device.open()?;
        let mut loader = Loader::new(folder, &config, precision, device)?;
        let embedding = loader.embedding()?;
        // The head is the largest tensor, and for a moment it is in memory as stored too: before the others are.
        let head = loader.head(&embedding)?;
        let blocks = (0..config.n_layers).map(|layer| Block::new(&mut loader, layer)).collect::<Result<_, _>>()?;
        let ln_f = loader.norm(names::ROOT, "ln_f")?;
        let _mapped = loader.finish()?;
        let mut banned: Vec<u32> = (config.vocab_size as u32..config.embedding_size as u32).collect();
        banned.push(config.mask_token_id);
        banned.sort_unstable();
        let rope = Rope::new(&config, device)?;
        Ok(Self {
            config,
            precision,
            device,
            embedding,
            rope,
            blocks,
            ln_f,
            head,
            banned,
            kept: BTreeMap::new(),
            kept_rows: BTreeMap::new(),
            hidden: Vec::new(),
            _mapped,
        })
    }

    /// The checkpoint's config.
    pub fn config(&self) -> &LladaConfig {
        &self.config
    }

    /// The precision that it computes in: the one that was asked for, where the device has it ([`Precision::on`]).
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Adds ids that may never be emitted: those that the tokenizer does not know.
    pub fn ban(&mut self, ids: impl IntoIterator<Item = u32>) {
        self.banned.extend(ids);
        self.banned.sort_unstable();
        self.banned.dedup();
    }

    fn check(&self, batch: &[Row<'_>]) -> Result<(), ModelError> {
        let max_sequence_length = self.config.max_sequence_length;
        for (row, Row { ids, wanted, shadowed, reuse }) in batch.iter().enumerate() {
            let refuse = |message: String| Err(ModelError::Row { row, message });
            if ids.is_empty() {
                return refuse("it has no tokens".to_owned());
            }
            if ids.len() > max_sequence_length {
                return Err(ModelError::TooLong { length: ids.len(), max_sequence_length });
            }
            if let Some(position) = ids.iter().position(|&id| id as usize >= self.config.vocab_size) {
                let (id, vocab_size) = (ids[position], self.config.vocab_size);
                return Err(ModelError::TokenOutOfRange { id, position, vocab_size });
            }
            if *reuse != Reuse::Nothing && self.config.is_causal {
                return refuse("a causal model keeps no keys and values".to_owned());
            }
            if *shadowed && self.config.is_causal {
                return refuse("a causal model has no shadows".to_owned());
            }
            let computed = reuse.computed(ids.len());
            let moved = matches!(reuse, Reuse::Moved { .. });
            if let Some(slot) = reuse.slot().filter(|_| !reuse.is_whole(ids.len())) {
                let kept = match moved {
                    true => self.kept_rows.get(&slot).map(|kept| kept.length),
                    false => self.kept.get(&slot).map(|kept| kept.length),
                };
                if computed.end > ids.len() || kept != Some(ids.len()) {
                    let (length, end) = (ids.len(), computed.end);
                    return refuse(format!("slot {slot} keeps nothing of {length} tokens up to {end}"));
                }
            }
            if moved && *shadowed {
                return refuse("what has moved is not chosen among shadows".to_owned());
            }
            if let Some(position) = wanted.iter().find(|position| !computed.contains(position)) {
                return refuse(format!("logits of position {position} are wanted, {computed:?} is computed"));
            }
        }
        Ok(())
    }

    /// Runs `rows`, each with at least one wanted position, as one packed batch.
    fn forward_packed<'a>(&mut self, rows: &[Row<'a>]) -> Result<Vec<Tensor>, ModelError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let computed = |row: &Row<'a>| row.reuse.computed(row.ids.len());
        let shadows = |row: &Row<'a>| if row.shadowed { row.wanted } else { &[] };
        let mask_id = self.config.mask_token_id;
        let masks = |row: &Row<'a>| std::iter::repeat_n(&mask_id, shadows(row).len());
        let ids = rows.iter().flat_map(|row| row.ids[computed(row)].iter().chain(masks(row)));
        let ids: Vec<i64> = ids.map(|&id| i64::from(id)).collect();
        let ids = Tensor::f_from_slice(&ids)?.f_to_device(self.device)?;
        let packing = Packing::new(rows.iter().map(|row| (computed(row), shadows(row))), self.device)?;
        let mut kept: Vec<Option<Kept>> = rows.iter().map(|row| self.take_kept(row)).collect();
        let mut x = self.embedding.f_index_select(0, &ids)?;
        let Some((last, others)) = self.blocks.split_last() else { return Ok(Vec::new()) };
        for (layer, block) in others.iter().enumerate() {
            x = block.forward(&x, &packing, &self.rope, Memory { rows: &mut kept, layer })?;
        }
        let asked = |row: &Row<'a>| {
            let Range { start, end } = computed(row);
            let token = |(shadow, &position): (usize, &usize)| match row.shadowed && row.ids[position] != mask_id {
                true => end - start + shadow,
                false => position - start,
            };
            row.wanted.iter().enumerate().map(token).collect()
        };
        let wanted = packing.select(&rows.iter().map(asked).collect::<Vec<_>>(), self.device)?;
        let memory = Memory { rows: &mut kept, layer: others.len() };
        let x = self.ln_f.forward(&last.forward_wanted(&x, &packing, &wanted, &self.rope, memory)?)?;
        let slots = rows.iter().map(|row| row.reuse.slot());
        self.kept.extend(slots.zip(kept).filter_map(|(slot, kept)| slot.zip(kept)));
        wanted.packing.spans.iter().map(|span| span.of(&x)).collect()
    }

    /// Runs a row of which, layer by layer, only what has moved is computed.
    fn forward_moved(&mut self, row: &Row<'_>, slot: usize, count: usize) -> Result<Tensor, ModelError> {
        let Range { start, end } = row.reuse.computed(row.ids.len());
        let on_device = |values: Vec<i64>| Tensor::f_from_slice(&values)?.f_to_device(self.device);
        let ids = on_device(row.ids[start..end].iter().map(|&id| i64::from(id)).collect())?;
        let positions = on_device((start..end).map(|position| position as i64).collect())?;
        let mut x = self.embedding.f_index_select(0, &ids)?;
        if row.reuse.is_whole(row.ids.len()) {
            let mut kept = KeptRow { length: row.ids.len(), layers: Vec::with_capacity(self.blocks.len()) };
            for block in &self.blocks {
                let (out, layer) = block.forward_kept(&x, &positions, &self.rope)?;
                x = out;
                kept.layers.push(layer);
            }
            self.kept_rows.insert(slot, kept);
        } else {
            let part = Part { positions, start: start as i64, count: count as i64 };
            let layers = self.kept_rows.get(&slot).into_iter().flat_map(|kept| &kept.layers);
            for (block, kept) in self.blocks.iter().zip(layers) {
                x = block.forward_moved(&x, &part, &self.rope, kept)?;
            }
        }
        let wanted = round_up(row.wanted).map(|position| (position - start) as i64).collect();
        self.ln_f.forward(&x.f_index_select(0, &on_device(wanted)?)?)
    }

    /// # Shapes
    /// (range.len(), logits_width), in the dtype of computation; `range` is not empty.
    fn logits_on_device(&self, row: usize, range: Range<usize>) -> Result<Tensor, ModelError> {
        let kept = self.hidden.get(row).and_then(Option::as_ref);
        let hidden = kept.filter(|hidden| hidden.wanted >= range.end).ok_or_else(|| ModelError::Row {
            row,
            message: format!("logits of wanted positions {range:?} were not part of the last forward"),
        })?;
        let (start, kept) = (range.start as i64, hidden.states.size()[0]);
        let states = hidden.states.f_narrow(0, start, (rounded(range.len()) as i64).min(kept - start))?;
        let logits = self.head.forward(&Input::new(&states), Epilogue::None)?;
        Ok(logits.f_narrow(0, 0, range.len() as i64)?)
    }

    /// What the row keeps, to be written to: of this length, or nothing yet.
    fn take_kept(&mut self, row: &Row<'_>) -> Option<Kept> {
        let slot = row.reuse.slot()?;
        let kept = self.kept.remove(&slot).filter(|kept| kept.length == row.ids.len());
        Some(kept.unwrap_or_else(|| Kept::new(row.ids.len())))
    }
}

impl MaskPredictor for Llada {
    type Error = ModelError;

    fn logits_width(&self) -> usize {
        self.config.embedding_size
    }

    fn mask_id(&self) -> u32 {
        self.config.mask_token_id
    }

    fn banned(&self) -> &[u32] {
        &self.banned
    }

    fn max_sequence_length(&self) -> usize {
        self.config.max_sequence_length
    }

    /// A row without wanted positions costs nothing.
    fn forward(&mut self, batch: &[Row<'_>]) -> Result<(), ModelError> {
        self.check(batch)?;
        self.rope.reach(batch.iter().map(|row| row.ids.len()).max().unwrap_or(0))?;
        let asked: Vec<usize> = (0..batch.len()).filter(|&row| !batch[row].wanted.is_empty()).collect();
        // A processor is busy with one row; and alone a row's matrix products round alike whatever the batch, which
        // makes its tokens independent of the company it keeps. A GPU needs them together.
        let together = if self.device == tch::Device::Cpu { 1 } else { asked.len().max(1) };
        self.hidden.clear();
        self.hidden.resize_with(batch.len(), || None);
        for group in asked.chunks(together) {
            let (mut done, mut packed) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
            for &row in group {
                match batch[row].reuse {
                    Reuse::Moved { slot, count, .. } => done.push((row, self.forward_moved(&batch[row], slot, count)?)),
                    _ => packed.push(row),
                }
            }
            let rows: Vec<Row<'_>> = packed.iter().map(|&row| batch[row]).collect();
            done.extend(packed.into_iter().zip(self.forward_packed(&rows)?));
            for (row, states) in done {
                self.hidden[row] = Some(Hidden { states, wanted: batch[row].wanted.len() });
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.kept.clear();
        self.kept_rows.clear();
    }

    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), ModelError> {
        out.clear();
        if range.is_empty() {
            return Ok(());
        }
        tensor::append(&self.logits_on_device(row, range)?, out)
    }

    fn picks(&mut self, row: usize, range: Range<usize>, out: &mut Vec<Pick>) -> Result<bool, ModelError> {
        if self.device == tch::Device::Cpu {
            return Ok(false);
        }
        out.clear();
        if range.is_empty() {
            return Ok(true);
        }
        let banned: Vec<i64> = self.banned.iter().map(|&id| i64::from(id)).collect();
        let banned = Tensor::f_from_slice(&banned)?.f_to_device(self.device)?;
        let pieces = range.clone().step_by(PICKED_TOGETHER).map(|start| start..range.end.min(start + PICKED_TOGETHER));
        let found = pieces.map(|piece| pick::find(&self.logits_on_device(row, piece)?, &banned));
        // One copy from the device, however many pieces.
        pick::read(&Tensor::f_cat(&found.collect::<Result<Vec<_>, _>>()?, 0)?, out)?;
        Ok(true)
    }
}

impl fmt::Debug for Llada {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llada")
            .field("config", &self.config)
            .field("precision", &self.precision)
            .finish_non_exhaustive()
    }
}
