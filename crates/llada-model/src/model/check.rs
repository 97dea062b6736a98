//! The rows that a model refuses, before anything is computed for any of them.

use llada_core::predictor::{CacheSlot, Recompute, Row, first_conflict};

use super::Transformer;
use crate::{AttentionPattern, ModelError, batch::check_row};

impl Transformer {
    pub(super) fn check(&self, batch: &[Row<'_>]) -> Result<(), ModelError> {
        if let Some(row) = first_conflict(batch) {
            let message = "an earlier row has its slot and computes other positions".to_owned();
            return Err(ModelError::Row { row, message });
        }
        for (index, row) in batch.iter().enumerate() {
            check_row(&self.config, index, row)?;
            let refuse = |message: String| Err(ModelError::Row { row: index, message });
            let length = row.ids.len();
            if row.cache.is_some() && self.config.is_causal() {
                return refuse("a causal model keeps no keys and values".to_owned());
            }
            if row.shadowed && self.config.is_causal() {
                return refuse("a causal model has no shadows".to_owned());
            }
            if row.shadowed && self.config.logit_shift {
                return refuse("a model whose logits are shifted has no shadows".to_owned());
            }
            let is_partial = matches!(row.recompute, Recompute::LeastSimilar { .. });
            if is_partial && self.config.attention != AttentionPattern::Full {
                return refuse("the least similar positions are chosen under full attention alone".to_owned());
            }
            if row.shadowed && is_partial {
                return refuse("the least similar positions are not chosen among shadows".to_owned());
            }
            if !row.recompute.is_whole(length) {
                let computed = row.recompute.range(length);
                let Some(slot) = row.cache else {
                    return refuse(format!("only {computed:?} is computed, and no slot has the rest"));
                };
                if computed.end > length || !self.keeps_rest(slot, row) {
                    return refuse(format!("{slot} keeps nothing of {length} tokens up to {}", computed.end));
                }
            }
        }
        Ok(())
    }

    /// Returns true if `slot` holds everything of a row that is not recomputed.
    fn keeps_rest(&self, slot: CacheSlot, row: &Row<'_>) -> bool {
        let length = row.ids.len();
        match &row.recompute {
            Recompute::All => true,
            Recompute::LeastSimilar { .. } => {
                let kept = self.feature_caches.get(&slot);
                kept.is_some_and(|cache| cache.length == length && cache.positions.as_deref() == row.positions)
            }
            Recompute::Span(span) => self.kv_caches.get(slot).is_some_and(|cache| {
                // A row may have grown at its end. Then the span has to include all of the new positions.
                let has_grown = cache.length < length && span.start <= cache.length && span.end == length;
                cache.positions.as_deref() == row.positions && (cache.length == length || has_grown)
            }),
        }
    }
}
