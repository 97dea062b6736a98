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

/// The rows of a packed batch: for every token its position in its row, for every row its stretch of tokens.
#[derive(Debug)]
pub(crate) struct Packing {
    /// (tokens) i64.
    pub(crate) positions: Tensor,
    pub(crate) spans: Vec<Span>,
}

/// One row's stretch of tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Its first token in the packing.
    pub(crate) start: i64,
    pub(crate) length: i64,
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
    /// Rows of which these positions are computed.
    pub(crate) fn new(rows: impl Iterator<Item = Range<usize>> + Clone, device: Device) -> Result<Self, ModelError> {
        let positions: Vec<i64> = rows.clone().flatten().map(|position| position as i64).collect();
        Ok(Self { positions: Tensor::f_from_slice(&positions)?.f_to_device(device)?, spans: spans(rows) })
    }

    /// Whether all rows are equally long.
    pub(crate) fn is_even(&self) -> bool {
        self.spans.windows(2).all(|pair| pair[0].length == pair[1].length)
    }

    /// The tokens at the `wanted` positions of each row, at least one a row; rounded up.
    pub(crate) fn select<'a>(
        &self,
        wanted: impl Iterator<Item = &'a [usize]> + Clone,
        device: Device,
    ) -> Result<Wanted, ModelError> {
        let mut tokens = Vec::new();
        for (&Span { start, first, .. }, wanted) in self.spans.iter().zip(wanted.clone()) {
            let repeated = wanted.iter().chain(std::iter::repeat(&wanted[wanted.len() - 1]));
            tokens.extend(repeated.take(rounded(wanted.len())).map(|&position| start + position as i64 - first));
        }
        let tokens = Tensor::f_from_slice(&tokens)?.f_to_device(device)?;
        let positions = self.positions.f_index_select(0, &tokens)?;
        let spans = spans(wanted.map(|wanted| 0..rounded(wanted.len())));
        Ok(Wanted { tokens, packing: Self { positions, spans } })
    }
}

fn spans(rows: impl Iterator<Item = Range<usize>>) -> Vec<Span> {
    rows.scan(0, |next, row| {
        let span = Span { start: *next, length: row.len() as i64, first: row.start as i64 };
        *next += span.length;
        Some(span)
    })
    .collect()
}
