//! The hidden states that a forward returns, and the head that makes logits of them.

use std::ops::Range;

use llada_core::predictor::{Hidden, TopToken};
use tch::Tensor;

use crate::{
    ModelError,
    layers::{
        linear::{Input, Linear},
        packing::rounded,
    },
    torch::{shim::Epilogue, tensor, top_token},
};

/// Positions whose logits exist at a time where they are not read but picked from.
const PICKED_TOGETHER: usize = 256;

/// What a model's forward returns: the last hidden states of the wanted positions, for its head.
#[derive(Debug)]
pub struct LladaHidden<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) device: tch::Device,
    /// The ids that are never the top token, ascending.
    pub(crate) banned: &'a [u32],
    /// By row of the batch; none where nothing was wanted.
    pub(crate) rows: Vec<Option<HiddenRow>>,
}

/// The LM head in the dtype of the hidden states.
#[derive(Debug)]
pub(crate) enum Head<'a> {
    /// A layer that the model keeps.
    Borrowed(&'a Linear),
    /// A layer made for this forward, because the model keeps its weights in another dtype.
    Cast(Linear),
}

/// The normed last hidden states of a row's wanted positions.
#[derive(Debug)]
pub(crate) struct HiddenRow {
    /// (wanted or more, d).
    pub(crate) states: Tensor,
    pub(crate) wanted: usize,
}

impl LladaHidden<'_> {
    /// # Shapes
    /// (range.len(), padded_vocab_size), in the dtype of computation; `range` is not empty.
    fn logits_on_device(&self, row: usize, range: Range<usize>) -> Result<Tensor, ModelError> {
        let hidden = self.rows.get(row).and_then(Option::as_ref);
        let hidden = hidden.filter(|hidden| hidden.wanted >= range.end).ok_or_else(|| ModelError::Row {
            row,
            message: format!("logits of wanted positions {range:?} are not part of this forward"),
        })?;
        let (start, states) = (range.start as i64, hidden.states.size()[0]);
        let states = hidden.states.f_narrow(0, start, (rounded(range.len()) as i64).min(states - start))?;
        let head = match &self.head {
            Head::Borrowed(head) => head,
            Head::Cast(head) => head,
        };
        let logits = head.forward(&Input::new(&states), Epilogue::None)?;
        Ok(logits.f_narrow(0, 0, range.len() as i64)?)
    }
}

impl Hidden for LladaHidden<'_> {
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
        // One copy from the device, however many pieces.
        Ok(Some(top_token::read(&Tensor::f_cat(&found, 0)?)?))
    }
}
