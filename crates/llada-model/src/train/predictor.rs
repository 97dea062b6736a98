//! The mask predictor of a model in training, for sampling and scoring between two training steps.
//!
//! It uses the current weights, and its predictions have the bits of a [`Transformer`](crate::Transformer) that was
//! loaded from them. Each forward casts and packs the weights layer by layer, so that there is never a second copy of
//! the model in memory.

use llada_core::predictor::{CacheSlot, MaskPredictor, Recompute, Row};
use tch::{Tensor, no_grad};

use super::TrainableTransformer;
use crate::{
    AttentionPattern, ModelConfig, ModelError, TransformerHidden,
    batch::{check_row, rows_together},
    hidden::{Head, HiddenRow},
    layers::{
        attention::CacheView,
        block::TransformerBlock,
        linear::{Linear, WeightFormat},
        lora::Lora,
        packing::{Packing, Piece, Selection, Wanted},
    },
    torch::matrix::Matrix,
    weights::{role::Role, source::WeightSource},
};

/// A source of the current weights of a model, in the format of inference and without gradients.
struct Frozen<'a> {
    model: &'a TrainableTransformer,
}

/// Rows that pass through the layers together.
struct Group {
    /// The indices of the rows in the batch.
    rows: Vec<usize>,
    packing: Packing,
    wanted: Wanted,
    /// The activations: (tokens, d), and after the last block (wanted, d).
    x: Tensor,
}

impl WeightSource for Frozen<'_> {
    fn config(&self) -> &ModelConfig {
        &self.model.config
    }

    fn tensor(&mut self, role: Role, _shape: &[usize]) -> Result<Tensor, ModelError> {
        Ok(self.model.tensor(role)?.f_detach()?)
    }

    fn linear(&mut self, role: Role, _shape: [usize; 2], has_bias: bool) -> Result<Linear, ModelError> {
        let (model, module) = (self.model, self.model.module(role));
        let detached = |tensor: Option<Tensor>| tensor.map(|tensor| tensor.f_detach()).transpose();
        let learned = detached(model.learned(&module, &module.weight(role))?)?;
        let bias = if has_bias { detached(model.learned(&module, &module.bias())?)? } else { None };
        match (learned, &model.adapted) {
            // As a loaded model has what an adapter replaces.
            (Some(weight), Some(_)) => Ok(Linear::plain(weight, bias)),
            (Some(weight), None) => Linear::float(weight, bias, model.format),
            (None, Some(adapted)) => {
                let (weight, bias) = adapted.linear(role)?;
                let (kind, bias) = (model.dtype.kind(), bias.map(Tensor::shallow_clone));
                let linear = match (weight, model.frozen_format) {
                    (Matrix::Int8(weight), WeightFormat::Int8(kernel)) => Linear::int8(weight, bias, kernel)?,
                    (weight, WeightFormat::Stored(_)) => Linear::stored(weight.share(), bias),
                    (weight, format) => Linear::float(weight.dequantize(kind)?, bias, format)?,
                };
                let lora = model.lora(&module)?;
                let lora = lora.map(|Lora { a, b, scale, .. }| {
                    Ok::<_, ModelError>(Lora::new(a.f_detach()?, b.f_detach()?, scale))
                });
                Ok(linear.with_lora(lora.transpose()?))
            }
            (None, None) => Err(ModelError::config("n_layers", format!("no tensor {}", module.weight(role)))),
        }
    }
}

impl TrainableTransformer {
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

    /// Embeds the tokens of these rows of the batch.
    fn group(&self, batch: &[Row<'_>], rows: &[usize]) -> Result<Group, ModelError> {
        let mut ids = Vec::new();
        let (mut pieces, mut selections) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for &row in rows {
            let row = &batch[row];
            ids.extend(row.ids.iter().map(|&id| i64::from(id)));
            pieces.push(Piece {
                positions: row.positions,
                block_length: row.block_length,
                ..Piece::whole(row.ids.len())
            });
            let tokens: Vec<usize> = row.wanted.iter().map(|&position| self.config.predicted_from(position)).collect();
            selections.push(Selection { lowest: tokens[0], tokens });
        }
        let packing = Packing::new(&pieces, self.device)?;
        let wanted = packing.select(&selections, self.device)?;
        let x = self.embed(&Tensor::f_from_slice(&ids)?.f_to_device(self.device)?)?;
        Ok(Group { rows: rows.to_vec(), packing, wanted, x })
    }

    fn predict(&self, batch: &[Row<'_>]) -> Result<TransformerHidden<'_>, ModelError> {
        let mut weights = Frozen { model: self };
        let computed: Vec<usize> = (0..batch.len()).filter(|&row| !batch[row].wanted.is_empty()).collect();
        let mut groups = Vec::new();
        for rows in computed.chunks(rows_together(self.device, computed.len())) {
            groups.push(self.group(batch, rows)?);
        }
        // The outer loop is over layers, so that the weights of each are cast and packed only once for all groups.
        for layer in 0..self.config.num_hidden_layers {
            let block = TransformerBlock::new(&mut weights, layer)?;
            for Group { packing, wanted, x, .. } in &mut groups {
                *x = if layer + 1 < self.config.num_hidden_layers {
                    block.forward(x, packing, &self.rope, CacheView::none())?
                } else {
                    block.forward_wanted(x, packing, wanted, &self.rope, CacheView::none())?
                };
            }
        }
        let final_norm = weights.norm(Role::FinalNorm, self.config.hidden_size)?;
        let mut rows = Vec::with_capacity(batch.len());
        rows.resize_with(batch.len(), || None);
        for group in groups {
            let states = final_norm.forward(&group.x)?;
            for (row, span) in group.rows.into_iter().zip(&group.wanted.packing.spans) {
                rows[row] = Some(HiddenRow { states: span.of(&states)?, wanted: batch[row].wanted.len(), drift: None });
            }
        }
        let ModelConfig { padded_vocab_size, hidden_size, biases, .. } = self.config;
        // A loaded model does not pack a head that is tied to the embedding; the bits would differ if this one did.
        let head = if self.config.tie_word_embeddings {
            Linear::plain(weights.tensor(Role::Embedding, &[])?, None)
        } else {
            weights.linear(Role::Head, [padded_vocab_size, hidden_size], biases.head)?
        };
        let head = Head::Cast(head);
        Ok(TransformerHidden { head, device: self.device, banned: &self.banned, rows, top_tokens: None })
    }
}

impl MaskPredictor for TrainableTransformer {
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

    /// Computes the hidden states of the wanted positions. A row without any is not computed. No gradient is recorded,
    /// and the accumulated one is unchanged.
    fn forward(&mut self, batch: &[Row<'_>]) -> Result<TransformerHidden<'_>, ModelError> {
        self.check(batch)?;
        self.rope.reach(batch.iter().map(Row::extent).max().unwrap_or(0))?;
        no_grad(|| self.predict(batch))
    }

    /// Does nothing, because a model in training has no caches.
    fn release(&mut self, _slot: CacheSlot) {}

    fn kept_bytes(&self, _length: usize, _recompute: &Recompute) -> usize {
        0
    }
}
