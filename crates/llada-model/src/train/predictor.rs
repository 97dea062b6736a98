//! A model in training as a mask predictor: to sample from it, or to score with it, between two steps.
//!
//! The weights that it predicts with are those of the moment. In bf16 they are cast anew for each forward, layer by
//! layer, so that no second copy of the model is ever in memory.

use llada_core::predictor::{CacheSlot, MaskPredictor, Recompute, Row};
use tch::{Tensor, no_grad};

use super::{TrainableLlada, head};
use crate::{
    LladaHidden, ModelError,
    batch::{check_row, rows_together},
    hidden::{Head, HiddenRow},
    layers::{
        attention::CacheView,
        block::{Block, Source},
        linear::Linear,
        packing::{Packing, Wanted},
    },
    names,
};

/// Rows on their way through the layers together.
struct Group {
    /// Their indices in the batch.
    rows: Vec<usize>,
    packing: Packing,
    wanted: Wanted,
    /// (tokens, d); after the last block (wanted, d).
    x: Tensor,
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

    /// The hidden states of each row's wanted positions; none of a row without any.
    fn hidden_rows(&self, batch: &[Row<'_>]) -> Result<Vec<Option<HiddenRow>>, ModelError> {
        let computed: Vec<usize> = (0..batch.len()).filter(|&row| !batch[row].wanted.is_empty()).collect();
        let mut groups = Vec::new();
        for rows in computed.chunks(rows_together(self.device, computed.len())) {
            groups.push(self.group(batch, rows)?);
        }
        // Layer by layer over all groups: each layer's weights are cast once.
        for layer in 0..self.config.n_layers {
            let block = Block::new(&mut &*self, layer)?;
            for Group { packing, wanted, x, .. } in &mut groups {
                *x = if layer + 1 < self.config.n_layers {
                    block.forward(x, packing, &self.rope, CacheView::none())?
                } else {
                    block.forward_wanted(x, packing, wanted, &self.rope, CacheView::none())?
                };
            }
        }
        let ln_f = (&mut &*self).norm(names::ROOT, "ln_f")?;
        let mut hidden = Vec::with_capacity(batch.len());
        hidden.resize_with(batch.len(), || None);
        for group in groups {
            let states = ln_f.forward(&group.x)?;
            for (row, span) in group.rows.into_iter().zip(&group.wanted.packing.spans) {
                hidden[row] = Some(HiddenRow { states: span.of(&states)?, wanted: batch[row].wanted.len() });
            }
        }
        Ok(hidden)
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
        let rows = no_grad(|| self.hidden_rows(batch))?;
        let head::Head { weight, bias } = no_grad(|| self.head())?;
        let head = Head::Cast(Linear::plain(weight, bias));
        Ok(LladaHidden { head, device: self.device, banned: &self.banned, rows })
    }

    /// Nothing: there is no slot that is not empty.
    fn release(&mut self, _slot: CacheSlot) {}

    fn kept_bytes(&self, _length: usize, _recompute: &Recompute) -> usize {
        0
    }
}
