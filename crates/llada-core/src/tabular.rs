//! A [`MaskPredictor`] without error: the conditionals of a joint distribution that is written down
//! in full.
//!
//! Whatever decodes with, or estimates from, a mask predictor can be held against the truth on it.
//! Since its conditionals come from one joint distribution, they agree for every order in which
//! tokens are unmasked.
//!
//! ```
//! use llada_core::predictor::{MaskPredictor, Row};
//! use llada_core::tabular::TabularPredictor;
//!
//! // Two tokens, two positions: 00, 01, 10, 11.
//! let mut predictor = TabularPredictor::new(2, 2, vec![0.4, 0.1, 0.0, 0.5])?;
//! let mask = predictor.mask_id();
//! predictor.forward(&[Row::new(&[mask, 1], &[0])])?;
//! let mut logits = Vec::new();
//! predictor.logits(0, 0..1, &mut logits)?;
//! assert!((logits[1].exp() - 0.5 / 0.6).abs() < 1e-6);
//! assert_eq!(logits[mask as usize], f32::NEG_INFINITY);
//! # Ok::<(), llada_core::CoreError>(())
//! ```

use crate::CoreError;
use crate::predictor::{MaskPredictor, Reuse, Row};
use std::collections::BTreeMap;
use std::ops::Range;

/// The exact mask predictor of a joint distribution $p(x_1, \dots, x_L)$ over a tiny vocabulary.
///
/// The table covers the whole sequence, prompt and answer. The mask is the id after the last token;
/// its logit is −∞.
#[derive(Clone, Debug)]
pub struct TabularPredictor {
    tokens: usize,
    mask_id: u32,
    length: usize,
    joint: Vec<f64>,
    /// The ids of each slot as its positions last saw them.
    kept: BTreeMap<usize, Vec<u32>>,
    /// Logits of the wanted positions of each row of the last forward.
    rows: Vec<Vec<f32>>,
}

impl TabularPredictor {
    /// The predictor of `joint`, the weights of all sequences of `length` out of `tokens` tokens,
    /// in lexicographic order (the last position runs fastest). They need not sum to one.
    ///
    /// # Shapes
    /// `joint`: `[tokens, tokens, ..]`, `length` times.
    ///
    /// # Errors
    /// If `joint` does not have `tokens` to the power of `length` entries, or one of them is
    /// negative or not finite, or all are zero.
    pub fn new(tokens: usize, length: usize, mut joint: Vec<f64>) -> Result<Self, CoreError> {
        let size = u32::try_from(length).ok().and_then(|length| tokens.checked_pow(length));
        CoreError::check_length("joint", joint.len(), size.unwrap_or(usize::MAX))?;
        for &weight in &joint {
            CoreError::check_within("weight of the joint distribution", weight, 0.0, f64::MAX)?;
        }
        let mass: f64 = joint.iter().sum();
        if mass == 0.0 {
            return Err(CoreError::NoMass);
        }
        joint.iter_mut().for_each(|weight| *weight /= mass);
        Ok(Self { tokens, mask_id: tokens as u32, length, joint, kept: BTreeMap::new(), rows: Vec::new() })
    }

    /// The probability of the visible tokens of `ids`: masks, and the positions after the end of
    /// `ids`, may be anything.
    pub fn probability(&self, ids: &[u32]) -> f64 {
        self.completions(ids).map(|(_, p)| p).sum()
    }

    /// The index and probability of every sequence that agrees with the visible tokens of `ids`.
    fn completions(&self, ids: &[u32]) -> impl Iterator<Item = (usize, f64)> {
        let agrees = move |sequence: usize| {
            ids.len() <= self.length
                && ids
                    .iter()
                    .enumerate()
                    .all(|(position, &id)| id == self.mask_id || id as usize == self.token(sequence, position))
        };
        self.joint.iter().copied().enumerate().filter(move |&(sequence, _)| agrees(sequence))
    }

    /// The token at `position` of the sequence of that index.
    fn token(&self, sequence: usize, position: usize) -> usize {
        sequence / self.tokens.pow((self.length - 1 - position) as u32) % self.tokens
    }

    /// The ids that the row's predictions see: reused positions show what they were when they were last computed.
    fn seen(&mut self, row: &Row<'_>) -> Result<Vec<u32>, CoreError> {
        let length = row.ids.len();
        let Some(slot) = row.reuse.slot() else { return Ok(row.ids.to_vec()) };
        if row.reuse.is_whole(length) {
            self.kept.insert(slot, row.ids.to_vec());
            return Ok(row.ids.to_vec());
        }
        let Range { start, end } = row.reuse.computed(length);
        CoreError::check_at_most("start of span", start, end)?;
        CoreError::check_at_most("end of span", end, length)?;
        let kept = self.kept.entry(slot).or_default();
        CoreError::check_length("kept row", kept.len(), length)?;
        let mut positions = Vec::from_iter(start..end);
        if let Reuse::Moved { count, .. } = row.reuse {
            // What has not changed moves the least.
            positions.sort_by_key(|&position| kept[position] == row.ids[position]);
            positions.truncate(count);
        }
        for position in positions {
            kept[position] = row.ids[position];
        }
        Ok(kept.clone())
    }

    fn row_logits(&mut self, row: &Row<'_>) -> Result<Vec<f32>, CoreError> {
        CoreError::check_at_most("row length", row.ids.len(), self.length)?;
        for &id in row.ids {
            CoreError::check_index("token id", id as usize, self.logits_width())?;
        }
        let ids = &self.seen(row)?;
        for &position in row.wanted {
            CoreError::check_index("wanted position", position, ids.len())?;
        }
        let mut marginals = vec![0.0; row.wanted.len() * self.logits_width()];
        let mut add = |ids: &[u32], wanted: Range<usize>| {
            for (sequence, p) in self.completions(ids) {
                let rows = marginals.chunks_mut(self.logits_width()).zip(row.wanted);
                for (marginal, &position) in rows.take(wanted.end).skip(wanted.start) {
                    marginal[self.token(sequence, position)] += p;
                }
            }
        };
        if row.shadowed {
            for (index, &position) in row.wanted.iter().enumerate() {
                let mut ids = ids.clone();
                ids[position] = self.mask_id;
                add(&ids, index..index + 1);
            }
        } else {
            add(ids, 0..row.wanted.len());
        }
        for marginal in marginals.chunks_mut(self.logits_width()) {
            let mut mass: f64 = marginal.iter().sum();
            // Tokens committed in parallel may contradict each other. What follows from the
            // impossible is arbitrary, but without a finite logit it would not be a prediction.
            if mass == 0.0 {
                marginal[..self.tokens].fill(1.0);
                mass = self.tokens as f64;
            }
            marginal.iter_mut().for_each(|p| *p = (*p / mass).ln());
        }
        Ok(marginals.into_iter().map(|logit| logit as f32).collect())
    }
}

impl MaskPredictor for TabularPredictor {
    type Error = CoreError;

    fn logits_width(&self) -> usize {
        self.tokens + 1
    }

    fn mask_id(&self) -> u32 {
        self.mask_id
    }

    fn banned(&self) -> &[u32] {
        std::slice::from_ref(&self.mask_id)
    }

    fn max_sequence_length(&self) -> usize {
        self.length
    }

    /// A row shorter than the table is a prefix. A position that is visible predicts itself, unless
    /// it has a shadow; all tokens are equally probable if the visible ones cannot occur together.
    fn forward(&mut self, batch: &[Row<'_>]) -> Result<(), CoreError> {
        self.rows = batch.iter().map(|row| self.row_logits(row)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn forget(&mut self) {
        self.kept.clear();
    }

    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), CoreError> {
        CoreError::check_index("row", row, self.rows.len())?;
        let logits = &self.rows[row];
        CoreError::check_at_most("start of range", range.start, range.end)?;
        CoreError::check_at_most("end of range", range.end, logits.len() / self.logits_width())?;
        out.clear();
        out.extend_from_slice(&logits[range.start * self.logits_width()..range.end * self.logits_width()]);
        Ok(())
    }
}
