//! The result of a forward: hidden states, and the head that computes logits from them.

use std::ops::Range;

use llada_core::predictor::{Hidden, TopToken};
use tch::Tensor;

use crate::{
    ModelError,
    layers::linear::{Input, Linear},
    torch::{shim::Epilogue, tensor, top_token},
};

/// The number of positions whose logits are in memory at a time when only their top tokens are requested.
const PICKED_TOGETHER: usize = 256;

/// The result of a forward: the last hidden states of the wanted positions, with the head that turns them into logits.
#[derive(Debug)]
pub struct TransformerHidden<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) device: tch::Device,
    /// The ids that are never a top token, in ascending order.
    pub(crate) banned: &'a [u32],
    /// One entry per row of the batch; `None` if no position of the row was wanted.
    pub(crate) rows: Vec<Option<HiddenRow>>,
}

/// The LM head in the dtype of the hidden states.
#[derive(Debug)]
pub(crate) enum Head<'a> {
    /// The layer of the model.
    Borrowed(&'a Linear),
    /// A layer that was created for this forward, because the model keeps its weights in another dtype.
    Cast(Linear),
}

/// The normed last hidden states of a row's wanted positions.
#[derive(Debug)]
pub(crate) struct HiddenRow {
    /// (wanted or more, d): the number of rows is rounded up.
    pub(crate) states: Tensor,
    pub(crate) wanted: usize,
}

impl TransformerHidden<'_> {
    /// Computes the logits of the wanted positions in `range`, which must not be empty.
    ///
    /// # Shapes
    /// -> (range.len(), padded_vocab_size), in the dtype of computation.
    fn logits_on_device(&self, row: usize, range: Range<usize>) -> Result<Tensor, ModelError> {
        let hidden = self.rows.get(row).and_then(Option::as_ref);
        let hidden = hidden.filter(|hidden| hidden.wanted >= range.end).ok_or_else(|| ModelError::Row {
            row,
            message: format!("logits of wanted positions {range:?} are not part of this forward"),
        })?;
        let head = match &self.head {
            Head::Borrowed(head) => head,
            Head::Cast(head) => head,
        };
        let (start, states) = (range.start as i64, hidden.states.size()[0]);
        let states = hidden.states.f_narrow(0, start, (head.rounded(range.len()) as i64).min(states - start))?;
        let logits = head.forward(&Input::new(&states), Epilogue::None)?;
        Ok(logits.f_narrow(0, 0, range.len() as i64)?)
    }
}

impl Hidden for TransformerHidden<'_> {
    type Error = ModelError;

    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), ModelError> {
        out.clear();
        if range.is_empty() {
            return Ok(());
        }
        tensor::append(&self.logits_on_device(row, range)?, out)
    }

    fn top_tokens(&mut self, row: usize, range: Range<usize>) -> Result<Option<Vec<TopToken>>, ModelError> {
        if self.device == tch::Device::Cpu {
            return Ok(None);
        }
        if range.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let banned: Vec<i64> = self.banned.iter().map(|&id| i64::from(id)).collect();
        let banned = Tensor::f_from_slice(&banned)?.f_to_device(self.device)?;
        let mut found = Vec::new();
        for start in range.clone().step_by(PICKED_TOGETHER) {
            let piece = start..range.end.min(start + PICKED_TOGETHER);
            found.push(top_token::find(&self.logits_on_device(row, piece)?, &banned)?);
        }
        // The pieces are joined on the device, so that there is only one copy to the host.
        Ok(Some(top_token::read(&Tensor::f_cat(&found, 0)?)?))
    }
}
