//! Where the rows of a ragged batch lie in the packed activations.
//!
//! Every per-token operation runs once over all tokens of the batch; only attention looks at the spans. So there is no
//! padding to compute or to mask, and the memory is that of the tokens.

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
    /// Start and length by row.
    pub(crate) spans: Vec<(i64, i64)>,
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
    /// Rows of these lengths.
    pub(crate) fn new(lengths: impl Iterator<Item = usize> + Clone, device: Device) -> Result<Self, ModelError> {
        let positions: Vec<i64> = lengths.clone().flat_map(|length| 0..length as i64).collect();
        Ok(Self { positions: Tensor::f_from_slice(&positions)?.f_to_device(device)?, spans: spans(lengths) })
    }

    /// Whether all rows are equally long.
    pub(crate) fn is_even(&self) -> bool {
        self.spans.windows(2).all(|pair| pair[0].1 == pair[1].1)
    }

    /// The tokens at the `wanted` positions of each row, at least one a row; rounded up.
    pub(crate) fn select<'a>(
        &self,
        wanted: impl Iterator<Item = &'a [usize]> + Clone,
        device: Device,
    ) -> Result<Wanted, ModelError> {
        let mut tokens = Vec::new();
        for (&(start, _), wanted) in self.spans.iter().zip(wanted.clone()) {
            let repeated = wanted.iter().chain(std::iter::repeat(&wanted[wanted.len() - 1]));
            tokens.extend(repeated.take(rounded(wanted.len())).map(|&position| start + position as i64));
        }
        let tokens = Tensor::f_from_slice(&tokens)?.f_to_device(device)?;
        let positions = self.positions.f_index_select(0, &tokens)?;
        let spans = spans(wanted.map(|wanted| rounded(wanted.len())));
        Ok(Wanted { tokens, packing: Self { positions, spans } })
    }
}

fn spans(lengths: impl Iterator<Item = usize>) -> Vec<(i64, i64)> {
    lengths
        .scan(0, |start, length| {
            let span = (*start, length as i64);
            *start += length as i64;
            Some(span)
        })
        .collect()
}
