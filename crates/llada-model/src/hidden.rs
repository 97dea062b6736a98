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
const PICKED_TOGETHER: i64 = 256;

/// The result of a forward: the last hidden states of the wanted positions, with the head that turns them into logits.
#[derive(Debug)]
pub struct TransformerHidden<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) device: tch::Device,
    /// The ids that are never a top token, in ascending order.
    pub(crate) banned: &'a [u32],
    /// One entry per row of the batch; `None` if no position of the row was wanted.
    pub(crate) rows: Vec<Option<HiddenRow>>,
    /// The top tokens of the wanted positions of all rows, one row after the other, once any was asked for.
    pub(crate) top_tokens: Option<Vec<TopToken>>,
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
    /// How far the values at these positions have moved, () f32, if that was measured.
    pub(crate) drift: Option<Tensor>,
}

impl TransformerHidden<'_> {
    /// Computes the logits of the wanted positions in `range`, which must not be empty.
    ///
    /// # Shapes
    /// -> (range.len(), padded_vocab_size), in the dtype of computation.
    fn logits_on_device(&self, row: usize, range: Range<usize>) -> Result<Tensor, ModelError> {
        let (hidden, head) = (self.row(row, &range)?, self.head.linear());
        let (start, states) = (range.start as i64, hidden.states.size()[0]);
        let states = hidden.states.f_narrow(0, start, (head.rounded(range.len()) as i64).min(states - start))?;
        let logits = head.forward(&Input::new(&states), Epilogue::None)?;
        Ok(logits.f_narrow(0, 0, range.len() as i64)?)
    }

    /// Returns a row that has these wanted positions.
    fn row(&self, row: usize, range: &Range<usize>) -> Result<&HiddenRow, ModelError> {
        let hidden = self.rows.get(row).and_then(Option::as_ref);
        hidden.filter(|hidden| hidden.wanted >= range.end).ok_or_else(|| ModelError::Row {
            row,
            message: format!("logits of wanted positions {range:?} are not part of this forward"),
        })
    }

    /// Returns the top tokens of the wanted positions in `range`. Those of all rows are found together the first time, so that
    /// the head is read once for all of them, and the host waits for the device once.
    fn top_tokens_of(&mut self, row: usize, range: Range<usize>) -> Result<Vec<TopToken>, ModelError> {
        self.row(row, &range)?;
        let all = match self.top_tokens.take() {
            Some(all) => all,
            None => self.find_top_tokens()?,
        };
        let before: usize = self.rows[..row].iter().flatten().map(|hidden| hidden.wanted).sum();
        let found = all[before + range.start..before + range.end].to_vec();
        self.top_tokens = Some(all);
        Ok(found)
    }

    fn find_top_tokens(&self) -> Result<Vec<TopToken>, ModelError> {
        let mut states = Vec::with_capacity(self.rows.len());
        for hidden in self.rows.iter().flatten() {
            states.push(hidden.states.f_narrow(0, 0, hidden.wanted as i64)?);
        }
        let states = Tensor::f_cat(&states, 0)?;
        let banned: Vec<i64> = self.banned.iter().map(|&id| i64::from(id)).collect();
        let banned = tensor::upload(&banned, self.device)?;
        let mut found = Vec::new();
        for piece in states.f_split(PICKED_TOGETHER, 0)? {
            let logits = self.head.linear().forward(&Input::new(&piece), Epilogue::None)?;
            found.push(top_token::find(&logits, &banned)?);
        }
        top_token::read(&Tensor::f_cat(&found, 0)?)
    }
}

impl Head<'_> {
    fn linear(&self) -> &Linear {
        match self {
            Self::Borrowed(head) => head,
            Self::Cast(head) => head,
        }
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
        self.top_tokens_of(row, range).map(Some)
    }

    fn drift(&mut self, row: usize) -> Result<Option<f32>, ModelError> {
        let hidden = self.rows.get(row).and_then(Option::as_ref);
        let drift = hidden.and_then(|hidden| hidden.drift.as_ref());
        Ok(drift.map(|drift| drift.f_double_value(&[])).transpose()?.map(|drift| drift as f32))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use llada_core::{
        predictor::{MaskPredictor, Row},
        sampling::softmax_at,
    };

    use super::*;
    use crate::{Device, Dtype, Transformer};

    #[test]
    fn top_tokens_of_rows_together_are_those_of_their_logits() -> Result<(), ModelError> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-llada");
        let mut model = Transformer::load(&folder, Device::Cpu, Dtype::F32)?;
        let banned = model.banned().to_vec();
        let ids: Vec<u32> = (0..200).map(|place| place % 40).collect();
        let (few, many): (Vec<usize>, Vec<usize>) = (vec![3, 5], (0..190).collect());
        let mut hidden = model.forward(&[
            Row::new(&ids, &few),
            Row::new(&ids, &[]),
            Row::new(&ids, &many),
            Row::new(&ids, &many),
        ])?;
        let mut logits = Vec::new();
        for (row, range) in [(3, 100..190), (0, 0..2), (0, 1..2), (2, 0..3)] {
            let found = hidden.top_tokens_of(row, range.clone())?;
            assert_eq!(found.len(), range.len());
            hidden.logits(row, range, &mut logits)?;
            for (logits, top) in logits.chunks(logits.len() / found.len()).zip(found) {
                let allowed = (0..logits.len()).filter(|&id| !banned.contains(&(id as u32)));
                let best = allowed.max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
                assert_eq!(Some(top.token as usize), best);
                assert!((top.probability - softmax_at(logits, top.token)).abs() < 1e-5);
            }
        }
        for (row, range) in [(0, 0..3), (1, 0..1), (4, 0..1)] {
            assert!(hidden.top_tokens_of(row, range).is_err());
        }
        Ok(())
    }
}
