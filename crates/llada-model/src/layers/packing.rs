//! The layout of a ragged batch in packed activations.
//!
//! The tokens of all rows follow one another in one matrix. Operations on single tokens run once over the whole matrix,
//! and only attention needs to know the rows, as spans of tokens. Hence there is no padding that has to be computed or
//! masked.

use std::ops::Range;

use tch::{Device, Tensor};

use crate::{ModelError, torch::tensor::upload};

/// The number of wanted tokens is rounded up to a multiple of this, by repeating the last token.
///
/// oneDNN compiles a kernel for each number of rows it meets and keeps it in memory. The number of masks changes with
/// every step, so without rounding nearly every step would compile anew.
pub(crate) const ROUND: usize = 16;

/// The same in training, where a batch has more wanted tokens.
pub(crate) const ROUND_IN_TRAINING: usize = 64;

/// Returns `wanted` rounded up to a multiple of [`ROUND`].
pub(crate) fn rounded(wanted: usize) -> usize {
    wanted.next_multiple_of(ROUND)
}

/// Repeats the last of the values until their number is a multiple of `round`. There must be at least one.
pub(crate) fn round_up<T: Copy>(values: &[T], round: usize) -> impl Iterator<Item = T> + '_ {
    let last = values[values.len() - 1];
    values.iter().copied().chain(std::iter::repeat(last)).take(values.len().next_multiple_of(round))
}

/// The layout of a packed batch: the position of each token in its sequence, and the span of tokens of each row.
///
/// A shadow is a mask that stands in for the token at a position, so that the model predicts the token without seeing
/// it. Shadows are computed together with their row, whose tokens they leave unchanged.
#[derive(Debug)]
pub(crate) struct Packing {
    /// (tokens) i64.
    pub(crate) positions: Tensor,
    /// (tokens) i64, or `None` if there are no shadows: for a shadow the token of its row that it replaces, and −1 for a token.
    /// A shadow does not attend to the token it replaces, and a token does not attend to shadows.
    pub(crate) shadow_of: Option<Tensor>,
    /// (tokens) i64: the place of each token among the keys of all lanes beside that of its row, if the spans do not say it,
    /// because the packing stands for rows that compute as many tokens in other places too.
    pub(crate) places: Option<Tensor>,
    pub(crate) spans: Vec<Span>,
}

/// The tokens of one row in a packing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// The index of the first token in the packing.
    pub(crate) start: i64,
    /// The number of tokens and shadows. The shadows come last.
    pub(crate) length: i64,
    /// The number of shadows.
    pub(crate) shadows: i64,
    /// The place of the first token in its row.
    pub(crate) first: i64,
    /// The lowest position of all tokens and shadows.
    pub(crate) lowest: i64,
    /// The block length that the row sets for block-causal attention, in tokens.
    pub(crate) block_length: Option<i64>,
}

/// The part of a row that a packing includes.
#[derive(Debug, Clone)]
pub(crate) struct Piece<'a> {
    /// The positions that are computed.
    pub(crate) computed: Range<usize>,
    /// The positions of the row's tokens in its sequence, if the row is a part of it.
    pub(crate) positions: Option<&'a [usize]>,
    /// The positions that have shadows.
    pub(crate) shadows: &'a [usize],
    /// The block length that the row sets for block-causal attention, in tokens.
    pub(crate) block_length: Option<usize>,
}

impl Piece<'_> {
    /// Creates the piece that is a whole row of `length` tokens, without shadows.
    pub(crate) fn whole(length: usize) -> Self {
        Self { computed: 0..length, positions: None, shadows: &[], block_length: None }
    }

    /// Returns the position in the sequence of a token of the row.
    pub(crate) fn position(&self, token: usize) -> i64 {
        self.positions.map_or(token, |positions| positions[token]) as i64
    }
}

impl Span {
    /// Returns the rows of packed activations that belong to the span, as a view.
    pub(crate) fn of(&self, packed: &Tensor) -> Result<Tensor, ModelError> {
        Ok(packed.f_narrow(0, self.start, self.length)?)
    }
}

/// The tokens and shadows of a row whose last hidden states are wanted.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Their indices within the span of the row. There is at least one.
    pub(crate) tokens: Vec<usize>,
    /// The lowest of their positions in the row.
    pub(crate) lowest: usize,
}

/// The tokens of a packing whose last hidden states are wanted, rounded up in number.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// (wanted) i64: their indices in the full packing.
    pub(crate) tokens: Tensor,
    /// The packing of these tokens only.
    pub(crate) packing: Packing,
}

impl Packing {
    /// Creates the packing of pieces of rows, in their order.
    pub(crate) fn new(pieces: &[Piece<'_>], device: Device) -> Result<Self, ModelError> {
        let (mut positions, mut shadow_of) = (Vec::new(), Vec::new());
        for piece in pieces {
            positions.extend(piece.computed.clone().map(|token| piece.position(token)));
            shadow_of.resize(positions.len(), -1);
            positions.extend(piece.shadows.iter().map(|&token| piece.position(token)));
            shadow_of.extend(piece.shadows.iter().map(|&token| token as i64));
        }
        let is_shadowed = pieces.iter().any(|piece| !piece.shadows.is_empty());
        Ok(Self {
            positions: upload(&positions, device)?,
            shadow_of: if is_shadowed { Some(upload(&shadow_of, device)?) } else { None },
            places: None,
            spans: spans(pieces),
        })
    }

    /// Creates the packing of pieces without shadows whose tokens are at these positions and places, which may become others.
    ///
    /// # Shapes
    /// positions (tokens) i64, places (tokens) i64.
    pub(crate) fn movable(pieces: &[Piece<'_>], positions: Tensor, places: Tensor) -> Self {
        Self { positions, shadow_of: None, places: Some(places), spans: spans(pieces) }
    }

    /// Returns the rows of packed activations that belong to consecutive rows of the batch, as a view.
    pub(crate) fn of_rows(&self, rows: Range<usize>, packed: &Tensor) -> Result<Tensor, ModelError> {
        let length = self.spans[rows.clone()].iter().map(|span| span.length).sum();
        Ok(packed.f_narrow(0, self.spans[rows.start].start, length)?)
    }

    /// Returns true if all rows have the same length and block length, and no shadows. Attention then takes them in one
    /// call.
    pub(crate) fn is_even(&self) -> bool {
        let is_like = |pair: &[Span]| (pair[0].length, pair[0].block_length) == (pair[1].length, pair[1].block_length);
        self.shadow_of.is_none() && self.spans.windows(2).all(is_like)
    }

    /// Returns the selected tokens and shadows with the packing of them alone. Their number is rounded up in each row.
    pub(crate) fn select(&self, selections: &[Selection], device: Device) -> Result<Wanted, ModelError> {
        let (mut tokens, mut spans) = (Vec::new(), Vec::with_capacity(selections.len()));
        for (span, selection) in self.spans.iter().zip(selections) {
            let start = tokens.len() as i64;
            tokens.extend(round_up(&selection.tokens, ROUND).map(|token| span.start + token as i64));
            let (length, lowest) = (tokens.len() as i64 - start, selection.lowest as i64);
            // Selected shadows are queries like the others; a count of shadows is needed for keys only.
            spans.push(Span { start, length, shadows: 0, first: 0, lowest, ..*span });
        }
        let tokens = upload(&tokens, device)?;
        let positions = self.positions.f_index_select(0, &tokens)?;
        let shadow_of = self.shadow_of.as_ref().map(|shadow_of| shadow_of.f_index_select(0, &tokens)).transpose()?;
        Ok(Wanted { tokens, packing: Self { positions, shadow_of, places: None, spans } })
    }
}

/// The spans of pieces that follow one another.
fn spans(pieces: &[Piece<'_>]) -> Vec<Span> {
    let mut spans = Vec::with_capacity(pieces.len());
    let mut start = 0;
    for Piece { computed, shadows, block_length, .. } in pieces {
        let length = (computed.len() + shadows.len()) as i64;
        spans.push(Span {
            start,
            length,
            shadows: shadows.len() as i64,
            first: computed.start as i64,
            lowest: computed.start as i64,
            block_length: block_length.map(|length| length as i64),
        });
        start += length;
    }
    spans
}
