//! Where the rows of a ragged batch lie in the packed activations.
//!
//! Every per-token operation runs once over all tokens of the batch; only attention looks at the spans. So there is no
//! padding to compute or to mask, and the memory is that of the tokens.

use std::ops::Range;

use tch::{Device, Tensor};

use crate::ModelError;

/// Wanted tokens are rounded up to a multiple of this, by repeating the last: oneDNN compiles and keeps a kernel for each
/// number of rows that it meets, and the number of masks changes with every step.
const ROUND: usize = 16;

pub(crate) fn rounded(wanted: usize) -> usize {
    wanted.next_multiple_of(ROUND)
}

/// `wanted`, at least one, rounded up.
pub(crate) fn round_up(wanted: &[usize]) -> impl Iterator<Item = usize> + '_ {
    wanted.iter().chain(std::iter::repeat(&wanted[wanted.len() - 1])).take(rounded(wanted.len())).copied()
}

/// The rows of a packed batch: for every token its position in its row, for every row its stretch of tokens.
#[derive(Debug)]
pub(crate) struct Packing {
    /// (tokens) i64.
    pub(crate) positions: Tensor,
    /// (tokens) i64, if there are shadows: the position in whose place a shadow stands and which it does not see; −1 for
    /// a token, which sees no shadow.
    pub(crate) shadow_of: Option<Tensor>,
    pub(crate) spans: Vec<Span>,
}

/// One row's stretch of tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Its first token in the packing.
    pub(crate) start: i64,
    /// Its tokens and shadows; the shadows come last.
    pub(crate) length: i64,
    pub(crate) shadows: i64,
    /// The position of that token in its row.
    pub(crate) first: i64,
    /// The lowest position of its tokens.
    pub(crate) lowest: i64,
    /// Positions of a block, where the row says so: what a block-causal model's attention goes by.
    pub(crate) block_length: Option<i64>,
}

/// The part of a row that a packing takes.
#[derive(Debug, Clone)]
pub(crate) struct Piece<'a> {
    /// The positions that are computed.
    pub(crate) computed: Range<usize>,
    /// The positions that have shadows.
    pub(crate) shadows: &'a [usize],
    pub(crate) block_length: Option<usize>,
}

impl Piece<'_> {
    /// All of a row of `length`, without shadows.
    pub(crate) fn whole(length: usize) -> Self {
        Self { computed: 0..length, shadows: &[], block_length: None }
    }
}

impl Span {
    /// The span's tokens of packed activations, a view.
    pub(crate) fn of(&self, packed: &Tensor) -> Result<Tensor, ModelError> {
        Ok(packed.f_narrow(0, self.start, self.length)?)
    }
}

/// The tokens and shadows of a row whose last hidden state somebody reads.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Where they lie among the row's, at least one.
    pub(crate) tokens: Vec<usize>,
    /// The lowest of their positions.
    pub(crate) lowest: usize,
}

/// The tokens whose last hidden state somebody reads, and a few more.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// (wanted) i64: where they lie in the full packing.
    pub(crate) tokens: Tensor,
    /// The packing of these tokens alone.
    pub(crate) packing: Packing,
}

impl Packing {
    /// The packing of pieces of rows, one after the other.
    pub(crate) fn new(pieces: &[Piece<'_>], device: Device) -> Result<Self, ModelError> {
        let (mut positions, mut shadow_of, mut spans) = (Vec::new(), Vec::new(), Vec::with_capacity(pieces.len()));
        for Piece { computed, shadows, block_length } in pieces {
            let start = positions.len() as i64;
            positions.extend(computed.clone().map(|position| position as i64));
            shadow_of.resize(positions.len(), -1);
            positions.extend(shadows.iter().map(|&position| position as i64));
            shadow_of.extend(shadows.iter().map(|&position| position as i64));
            spans.push(Span {
                start,
                length: positions.len() as i64 - start,
                shadows: shadows.len() as i64,
                first: computed.start as i64,
                lowest: computed.start as i64,
                block_length: block_length.map(|length| length as i64),
            });
        }
        let on_device = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
        let is_shadowed = pieces.iter().any(|piece| !piece.shadows.is_empty());
        Ok(Self {
            positions: on_device(&positions)?,
            shadow_of: if is_shadowed { Some(on_device(&shadow_of)?) } else { None },
            spans,
        })
    }

    /// Whether all rows are equally long, in blocks of one length, and without shadows.
    pub(crate) fn is_even(&self) -> bool {
        let is_like = |pair: &[Span]| (pair[0].length, pair[0].block_length) == (pair[1].length, pair[1].block_length);
        self.shadow_of.is_none() && self.spans.windows(2).all(is_like)
    }

    /// The packing of the selected tokens and shadows alone, those of each row rounded up in number.
    pub(crate) fn select(&self, selections: &[Selection], device: Device) -> Result<Wanted, ModelError> {
        let (mut tokens, mut spans) = (Vec::new(), Vec::with_capacity(selections.len()));
        for (span, selection) in self.spans.iter().zip(selections) {
            let start = tokens.len() as i64;
            tokens.extend(round_up(&selection.tokens).map(|token| span.start + token as i64));
            let (length, lowest) = (tokens.len() as i64 - start, selection.lowest as i64);
            spans.push(Span { start, length, shadows: 0, first: 0, lowest, ..*span });
        }
        let tokens = Tensor::f_from_slice(&tokens)?.f_to_device(device)?;
        let positions = self.positions.f_index_select(0, &tokens)?;
        let shadow_of = self.shadow_of.as_ref().map(|shadow_of| shadow_of.f_index_select(0, &tokens)).transpose()?;
        Ok(Wanted { tokens, packing: Self { positions, shadow_of, spans } })
    }
}
