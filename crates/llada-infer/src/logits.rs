//! What is read of a forward: guided logits of a few positions at a time, or their top tokens alone.

use std::ops::Range;

use llada_core::{
    guidance::guide,
    predictor::{Hidden, TopToken},
};

use crate::InferError;

/// Rows of logits that exist at a time: enough to keep the head's matrix product busy, few beside the weights.
const CHUNK: usize = 64;

/// `0..count` in pieces of at most [`CHUNK`].
pub(crate) fn chunks(count: usize) -> impl DoubleEndedIterator<Item = Range<usize>> {
    (0..count.div_ceil(CHUNK)).map(move |chunk| chunk * CHUNK..count.min((chunk + 1) * CHUNK))
}

/// The row of a forward that a request's logits come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogitsRow {
    pub(crate) row: usize,
    /// The row without its prompt and the scale of guidance, unless there is none.
    pub(crate) unconditional: Option<(usize, f32)>,
}

/// Reads one request's logits out of a forward, into memory that is reused from call to call.
pub(crate) struct LogitsReader<'a, H> {
    pub(crate) hidden: &'a mut H,
    pub(crate) row: LogitsRow,
    pub(crate) buffers: &'a mut LogitsBuffers,
}

/// The memory of a [`LogitsReader`].
#[derive(Debug, Default)]
pub(crate) struct LogitsBuffers {
    conditional: Vec<f32>,
    unconditional: Vec<f32>,
}

impl<H: Hidden> LogitsReader<'_, H> {
    /// The top tokens of `range` of the row's wanted positions, without guidance, unless the predictor leaves them to its
    /// reader.
    pub(crate) fn top_tokens(&mut self, range: Range<usize>) -> Result<Option<Vec<TopToken>>, InferError> {
        self.hidden.top_tokens(self.row.row, range).map_err(InferError::predict)
    }

    /// The guided logits of `range` of the row's wanted positions.
    ///
    /// # Shapes
    /// (range.len(), padded_vocab_size), row-major.
    pub(crate) fn read(&mut self, range: Range<usize>) -> Result<&mut [f32], InferError> {
        let LogitsBuffers { conditional, unconditional } = &mut *self.buffers;
        self.hidden.logits(self.row.row, range.clone(), conditional).map_err(InferError::predict)?;
        if let Some((row, cfg_scale)) = self.row.unconditional {
            self.hidden.logits(row, range, unconditional).map_err(InferError::predict)?;
            guide(conditional, unconditional, cfg_scale);
        }
        Ok(conditional)
    }
}
