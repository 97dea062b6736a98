//! The reader of a forward's results: guided logits of a few positions at a time, or only their top tokens.

use std::ops::Range;

use llada_core::{
    guidance::guide,
    predictor::{Hidden, TopToken},
};

use crate::InferError;

/// The number of rows of logits that exist at a time. It is large enough for an efficient matrix product in the head, and
/// small enough that the logits need little memory compared with the weights.
const CHUNK: usize = 64;

/// Splits `0..count` into ranges of at most [`CHUNK`].
pub(crate) fn chunks(count: usize) -> impl DoubleEndedIterator<Item = Range<usize>> {
    (0..count.div_ceil(CHUNK)).map(move |chunk| chunk * CHUNK..count.min((chunk + 1) * CHUNK))
}

/// The row of a forward that a request's logits come from. Under guidance, the next row is the one without the prompt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogitsRow {
    row: usize,
    /// The scale of guidance; 0 means none.
    cfg_scale: f32,
}

impl LogitsRow {
    pub(crate) fn new(row: usize, cfg_scale: f32) -> Self {
        Self { row, cfg_scale }
    }

    /// Creates the row of one of a request's states, the first of which has row `first`.
    pub(crate) fn of_state(first: usize, state: usize, cfg_scale: f32) -> Self {
        let rows_per_state = if cfg_scale > 0.0 { 2 } else { 1 };
        Self::new(first + state * rows_per_state, cfg_scale)
    }
}

/// A reader of one request's logits, which reuses its buffers from call to call.
pub(crate) struct LogitsReader<'a, H> {
    pub(crate) hidden: &'a mut H,
    pub(crate) row: LogitsRow,
    pub(crate) buffers: &'a mut LogitsBuffers,
}

/// The buffers of a [`LogitsReader`].
#[derive(Debug, Default)]
pub(crate) struct LogitsBuffers {
    conditional: Vec<f32>,
    unconditional: Vec<f32>,
}

impl<H: Hidden> LogitsReader<'_, H> {
    /// Returns the top tokens of a range of the row's wanted positions, without guidance, or `None` if the predictor does
    /// not compute them.
    ///
    /// # Errors
    /// If the predictor fails.
    pub(crate) fn top_tokens(&mut self, range: Range<usize>) -> Result<Option<Vec<TopToken>>, InferError> {
        self.hidden.top_tokens(self.row.row, range).map_err(InferError::predict)
    }

    /// Returns how far the values of the row's wanted positions have moved, without guidance, if that was measured.
    ///
    /// # Errors
    /// If the predictor fails.
    pub(crate) fn drift(&mut self) -> Result<Option<f32>, InferError> {
        self.hidden.drift(self.row.row).map_err(InferError::predict)
    }

    /// Computes the guided logits of a range of the row's wanted positions. The caller may change them in place.
    ///
    /// # Shapes
    /// The result: `[range.len(), padded_vocab_size]`, row-major.
    ///
    /// # Errors
    /// If the predictor fails.
    pub(crate) fn read(&mut self, range: Range<usize>) -> Result<&mut [f32], InferError> {
        let LogitsRow { row, cfg_scale } = self.row;
        let LogitsBuffers { conditional, unconditional } = &mut *self.buffers;
        self.hidden.logits(row, range.clone(), conditional).map_err(InferError::predict)?;
        if cfg_scale > 0.0 {
            self.hidden.logits(row + 1, range, unconditional).map_err(InferError::predict)?;
            guide(conditional, unconditional, cfg_scale);
        }
        Ok(conditional)
    }
}
