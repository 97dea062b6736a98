//! A batch as it is laid out on the host: which tokens are computed, in which order, and which of them are wanted.

use std::ops::Range;

use llada_core::predictor::Row;

use crate::{
    ModelConfig,
    layers::packing::{Piece, Selection},
};

/// The tokens of packed rows.
pub(super) struct Layout<'a> {
    /// For each row, the ids of its computed positions, then a mask for each of its shadows.
    pub(super) ids: Vec<i64>,
    pub(super) pieces: Vec<Piece<'a>>,
    pub(super) selections: Vec<Selection>,
}

impl<'a> Layout<'a> {
    /// Lays out rows, each of which has at least one wanted position.
    pub(super) fn new(config: &ModelConfig, rows: &[&Row<'a>]) -> Self {
        let mask_id = config.mask_token_id;
        let mut ids: Vec<i64> = Vec::new();
        let (mut pieces, mut selections) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            let computed = computed(config, row);
            ids.extend(row.ids[computed.clone()].iter().map(|&id| i64::from(id)));
            ids.extend(shadows(row).iter().map(|_| i64::from(mask_id)));
            let mut tokens = Vec::with_capacity(row.wanted.len());
            for (shadow, &position) in row.wanted.iter().enumerate() {
                // The hidden state of a position with a token has seen that token. The prediction is therefore read
                // from its shadow, a mask in its place.
                let by_shadow = row.shadowed && row.ids[position] != mask_id;
                let source = config.predicted_from(position) - computed.start;
                tokens.push(if by_shadow { computed.len() + shadow } else { source });
            }
            selections.push(Selection { tokens, lowest: config.predicted_from(row.wanted[0]) });
            pieces.push(Piece {
                computed,
                positions: row.positions,
                shadows: shadows(row),
                block_length: row.block_length,
            });
        }
        Self { ids, pieces, selections }
    }
}

/// Returns the positions of a row that are computed. If logits are shifted, they include the one before the span, which
/// predicts the first position of the span.
pub(super) fn computed(config: &ModelConfig, row: &Row<'_>) -> Range<usize> {
    let range = row.recompute.range(row.ids.len());
    config.predicted_from(range.start)..range.end
}

/// Returns the positions of a row that have shadows.
fn shadows<'a>(row: &Row<'a>) -> &'a [usize] {
    if row.shadowed { row.wanted } else { &[] }
}
