//! What is read of the predictor: guided logits of a few positions at a time, or picks alone.

use std::ops::Range;

use llada_core::{
    guidance::guide,
    predictor::{MaskPredictor, Pick},
};

use crate::InferError;

/// Rows of logits that exist at a time: enough to keep the head's matrix product busy, few beside the weights.
const CHUNK: usize = 64;

/// `0..count` in pieces of at most [`CHUNK`].
pub(crate) fn chunks(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(CHUNK).map(move |start| start..count.min(start + CHUNK))
}

/// Where guided logits come from: a row of the predictor's last batch, and the same row without its prompt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) row: usize,
    /// The row without its prompt and the scale of guidance, unless there is none.
    pub(crate) unconditional: Option<(usize, f32)>,
}

/// Logits, in memory that is reused from call to call.
#[derive(Debug, Default)]
pub(crate) struct Logits {
    conditional: Vec<f32>,
    unconditional: Vec<f32>,
    picks: Vec<Pick>,
}

impl Logits {
    /// The picks of `range` of the source's wanted positions, unless it is guided or the predictor leaves them to its
    /// reader.
    pub(crate) fn picks<P: MaskPredictor>(
        &mut self,
        predictor: &mut P,
        source: Source,
        range: Range<usize>,
    ) -> Result<Option<&[Pick]>, InferError> {
        let picked = source.unconditional.is_none()
            && predictor.picks(source.row, range, &mut self.picks).map_err(InferError::predict)?;
        Ok(picked.then_some(&self.picks))
    }

    /// The guided logits of `range` of the source's wanted positions.
    ///
    /// # Shapes
    /// (range.len(), logits_width), row-major.
    pub(crate) fn read<P: MaskPredictor>(
        &mut self,
        predictor: &mut P,
        source: Source,
        range: Range<usize>,
    ) -> Result<&mut [f32], InferError> {
        predictor.logits(source.row, range.clone(), &mut self.conditional).map_err(InferError::predict)?;
        if let Some((row, cfg_scale)) = source.unconditional {
            predictor.logits(row, range, &mut self.unconditional).map_err(InferError::predict)?;
            guide(&mut self.conditional, &self.unconditional, cfg_scale);
        }
        Ok(&mut self.conditional)
    }
}
