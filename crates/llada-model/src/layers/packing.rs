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
}

impl Span {
    /// The span's tokens of packed activations, a view.
    pub(crate) fn of(&self, packed: &Tensor) -> Result<Tensor, ModelError> {
        Ok(packed.f_narrow(0, self.start, self.length)?)
    }
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
    /// Rows of which these positions are computed, and these have shadows.
    pub(crate) fn new<'a>(
        rows: impl Iterator<Item = (Range<usize>, &'a [usize])> + Clone,
        device: Device,
    ) -> Result<Self, ModelError> {
        let on_device = |values: Vec<i64>| Tensor::f_from_slice(&values)?.f_to_device(device);
        let shadowed = rows.clone().any(|(_, shadows)| !shadows.is_empty());
        let positions = rows.clone().flat_map(|(computed, shadows)| computed.chain(shadows.iter().copied()));
        let shadow_of = rows.clone().flat_map(|(computed, shadows)| {
            computed.map(|_| -1).chain(shadows.iter().map(|&position| position as i64))
        });
        Ok(Self {
            positions: on_device(positions.map(|position| position as i64).collect())?,
            shadow_of: if shadowed { Some(on_device(shadow_of.collect())?) } else { None },
            spans: spans(rows),
        })
    }

    /// Whether all rows are equally long and every token sees all of its row.
    pub(crate) fn is_even(&self) -> bool {
        self.shadow_of.is_none() && self.spans.windows(2).all(|pair| pair[0].length == pair[1].length)
    }

    /// The tokens, or shadows, that are `wanted` of each row's, at least one a row; rounded up.
    pub(crate) fn select(&self, wanted: &[Vec<usize>], device: Device) -> Result<Wanted, ModelError> {
        let mut tokens = Vec::new();
        for (&Span { start, .. }, wanted) in self.spans.iter().zip(wanted) {
            tokens.extend(round_up(wanted).map(|token| start + token as i64));
        }
        let tokens = Tensor::f_from_slice(&tokens)?.f_to_device(device)?;
        let positions = self.positions.f_index_select(0, &tokens)?;
        let shadow_of = self.shadow_of.as_ref().map(|shadow_of| shadow_of.f_index_select(0, &tokens)).transpose()?;
        let spans = spans(wanted.iter().map(|wanted| (0..rounded(wanted.len()), [].as_slice())));
        Ok(Wanted { tokens, packing: Self { positions, shadow_of, spans } })
    }
}

fn spans<'a>(rows: impl Iterator<Item = (Range<usize>, &'a [usize])>) -> Vec<Span> {
    rows.scan(0, |next, (computed, shadows)| {
        let length = (computed.len() + shadows.len()) as i64;
        let span = Span { start: *next, length, shadows: shadows.len() as i64, first: computed.start as i64 };
        *next += length;
        Some(span)
    })
    .collect()
}
