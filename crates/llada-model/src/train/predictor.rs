//! A model in training as a mask predictor: to sample from it, or to score with it, between two steps.
//!
//! It predicts with the weights of the moment, to the bit what a [`Llada`](crate::Llada) loaded from them would. Each
//! forward casts and packs them anew, layer by layer, so that no second copy of the model is ever in memory.

use llada_core::predictor::{CacheSlot, MaskPredictor, Recompute, Row};
use tch::{Tensor, no_grad};

use super::{TrainableLlada, head};
use crate::{
    LladaConfig, LladaHidden, ModelError,
    batch::{check_row, rows_together},
    hidden::{Head, HiddenRow},
    layers::{
        attention::CacheView,
        block::{Block, Source},
        linear::{Layout, Linear},
        norm::RmsNorm,
        packing::{Packing, Wanted},
    },
    names,
};

/// The weights of a model as they are, in the format of inference and without a gradient.
struct Frozen<'a> {
    model: &'a TrainableLlada,
    layout: Layout,
}

/// Rows on their way through the layers together.
struct Group {
    /// Their indices in the batch.
    rows: Vec<usize>,
    packing: Packing,
    wanted: Wanted,
    /// (tokens, d); after the last block (wanted, d).
    x: Tensor,
}

impl Source for Frozen<'_> {
    fn config(&self) -> &LladaConfig {
        &self.model.config
    }

    fn norm(&mut self, prefix: &str, name: &str) -> Result<RmsNorm, ModelError> {
        let weight = self.model.cast(prefix, &format!("{name}.weight"))?.f_detach()?;
        Ok(RmsNorm::new(weight, self.model.config.rms_norm_eps))
    }

    fn linear(&mut self, prefix: &str, name: &str, _shape: [usize; 2], bias: bool) -> Result<Linear, ModelError> {
        let weight = self.model.cast(prefix, &format!("{name}.weight"))?.f_detach()?;
        let bias = if bias { Some(self.model.cast(prefix, &format!("{name}.bias"))?.f_detach()?) } else { None };
        Linear::float(weight, bias, self.layout)
    }
}

impl TrainableLlada {
    fn check(&self, batch: &[Row<'_>]) -> Result<(), ModelError> {
        for (index, row) in batch.iter().enumerate() {
            check_row(&self.config, index, row)?;
            let refuse = |message: &str| Err(ModelError::Row { row: index, message: message.to_owned() });
            if row.cache.is_some() {
                return refuse("a model in training keeps no keys and values");
            }
            if row.shadowed {
                return refuse("a model in training has no shadows");
            }
            if row.recompute != Recompute::All {
                return refuse("a model in training computes every position of a row");
            }
        }
        Ok(())
    }

    /// The embedded tokens of these rows of the batch.
    fn group(&self, batch: &[Row<'_>], rows: &[usize]) -> Result<Group, ModelError> {
        let (mut ids, mut wanted) = (Vec::new(), Vec::with_capacity(rows.len()));
        for &row in rows {
            ids.extend(batch[row].ids.iter().map(|&id| i64::from(id)));
            wanted.push(batch[row].wanted.to_vec());
        }
        let spans = rows.iter().map(|&row| (0..batch[row].ids.len(), [].as_slice()));
        let packing = Packing::new(spans, self.device)?;
        let wanted = packing.select(&wanted, self.device)?;
        let x = self.embed(&Tensor::f_from_slice(&ids)?.f_to_device(self.device)?)?;
        Ok(Group { rows: rows.to_vec(), packing, wanted, x })
    }

    fn predict(&self, batch: &[Row<'_>]) -> Result<LladaHidden<'_>, ModelError> {
        let mut weights = Frozen { model: self, layout: self.layout };
        let computed: Vec<usize> = (0..batch.len()).filter(|&row| !batch[row].wanted.is_empty()).collect();
        let mut groups = Vec::new();
        for rows in computed.chunks(rows_together(self.device, computed.len())) {
            groups.push(self.group(batch, rows)?);
        }
        // Layer by layer over all groups: each layer's weights are cast and packed once.
        for layer in 0..self.config.n_layers {
            let block = Block::new(&mut weights, layer)?;
            for Group { packing, wanted, x, .. } in &mut groups {
                *x = if layer + 1 < self.config.n_layers {
                    block.forward(x, packing, &self.rope, CacheView::none())?
                } else {
                    block.forward_wanted(x, packing, wanted, &self.rope, CacheView::none())?
                };
            }
        }
        let ln_f = weights.norm(names::ROOT, "ln_f")?;
        let mut rows = Vec::with_capacity(batch.len());
        rows.resize_with(batch.len(), || None);
        for group in groups {
            let states = ln_f.forward(&group.x)?;
            for (row, span) in group.rows.into_iter().zip(&group.wanted.packing.spans) {
                rows[row] = Some(HiddenRow { states: span.of(&states)?, wanted: batch[row].wanted.len() });
            }
        }
        let head::Head { weight, bias } = self.head()?;
        // As in a loaded model, a head that is the embedding is not packed.
        let layout = if self.config.weight_tying { Layout::Plain } else { self.layout };
        let head = Head::Cast(Linear::float(weight, bias, layout)?);
        Ok(LladaHidden { head, device: self.device, banned: &self.banned, rows })
    }
}

impl MaskPredictor for TrainableLlada {
    type Error = ModelError;
    type Hidden<'a> = LladaHidden<'a>;

    fn padded_vocab_size(&self) -> usize {
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

    /// A row without wanted positions is not computed. No gradient is recorded, and none that has accumulated is touched.
    fn forward(&mut self, batch: &[Row<'_>]) -> Result<LladaHidden<'_>, ModelError> {
        self.check(batch)?;
        self.rope.reach(batch.iter().map(|row| row.ids.len()).max().unwrap_or(0))?;
        no_grad(|| self.predict(batch))
    }

    /// Nothing: there is no slot that is not empty.
    fn release(&mut self, _slot: CacheSlot) {}

    fn kept_bytes(&self, _length: usize, _recompute: &Recompute) -> usize {
        0
    }
}
