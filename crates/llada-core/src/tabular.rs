//! A [`MaskPredictor`] without error: the conditionals of a joint distribution that is written down
//! in full.
//!
//! Whatever decodes with, or estimates from, a mask predictor can be held against the truth on it.
//! Since its conditionals come from one joint distribution, they agree for every order in which
//! tokens are unmasked.
//!
//! ```
//! use llada_core::predictor::{Hidden, MaskPredictor, Row};
//! use llada_core::tabular::TabularPredictor;
//!
//! // Two tokens, two positions: 00, 01, 10, 11.
//! let mut predictor = TabularPredictor::new(2, 2, vec![0.4, 0.1, 0.0, 0.5])?;
//! let mask = predictor.mask_id();
//! let mut logits = Vec::new();
//! predictor.forward(&[Row::new(&[mask, 1], &[0])])?.logits(0, 0..1, &mut logits)?;
//! assert!((logits[1].exp() - 0.5 / 0.6).abs() < 1e-6);
//! assert_eq!(logits[mask as usize], f32::NEG_INFINITY);
//! # Ok::<(), llada_core::CoreError>(())
//! ```

use crate::CoreError;
use crate::predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row};
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
    kept: BTreeMap<CacheSlot, Vec<u32>>,
}

/// The logits of a [`TabularPredictor`]'s forward: a table needs no head.
#[derive(Clone, Debug)]
pub struct TabularHidden {
    padded_vocab_size: usize,
    /// By row; each (wanted, padded_vocab_size).
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
            return Err(CoreError::ZeroMass);
        }
        joint.iter_mut().for_each(|weight| *weight /= mass);
        Ok(Self { tokens, mask_id: tokens as u32, length, joint, kept: BTreeMap::new() })
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

    /// The slots that keep a row, ascending.
    pub fn slots(&self) -> impl Iterator<Item = CacheSlot> {
        self.kept.keys().copied()
    }

    /// The ids that the row's predictions see: reused positions show what they were when they were last computed.
    fn seen(&self, row: &Row<'_>) -> Result<Vec<u32>, CoreError> {
        let length = row.ids.len();
        if row.recompute.is_whole(length) {
            return Ok(row.ids.to_vec());
        }
        let range = row.recompute.range(length);
        CoreError::check_at_most("start of span", range.start, range.end)?;
        CoreError::check_at_most("end of span", range.end, length)?;
        let mut seen = row.cache.and_then(|slot| self.kept.get(&slot)).cloned().unwrap_or_default();
        CoreError::check_length("kept row", seen.len(), length)?;
        let mut positions = Vec::from_iter(range);
        if let Recompute::LeastSimilar { count, .. } = row.recompute {
            // What has changed is the least similar.
            positions.sort_by_key(|&position| seen[position] == row.ids[position]);
            positions.truncate(count);
        }
        for position in positions {
            seen[position] = row.ids[position];
        }
        Ok(seen)
    }

    /// The logits of a row's wanted positions, whose predictions see the ids `seen`.
    fn row_logits(&self, row: &Row<'_>, seen: &[u32]) -> Result<Vec<f32>, CoreError> {
        CoreError::check_at_most("row length", row.ids.len(), self.length)?;
        for &id in row.ids {
            CoreError::check_index("token id", id as usize, self.padded_vocab_size())?;
        }
        for &position in row.wanted {
            CoreError::check_index("wanted position", position, seen.len())?;
        }
        let mut marginals = vec![0.0; row.wanted.len() * self.padded_vocab_size()];
        let mut add = |ids: &[u32], wanted: Range<usize>| {
            for (sequence, p) in self.completions(ids) {
                let rows = marginals.chunks_mut(self.padded_vocab_size()).zip(row.wanted);
                for (marginal, &position) in rows.take(wanted.end).skip(wanted.start) {
                    marginal[self.token(sequence, position)] += p;
                }
            }
        };
        if row.shadowed {
            for (index, &position) in row.wanted.iter().enumerate() {
                let mut ids = seen.to_vec();
                ids[position] = self.mask_id;
                add(&ids, index..index + 1);
            }
        } else {
            add(seen, 0..row.wanted.len());
        }
        for marginal in marginals.chunks_mut(self.padded_vocab_size()) {
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
    type Hidden<'a> = TabularHidden;

    fn padded_vocab_size(&self) -> usize {
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
    /// If a row is refused, every slot keeps what it kept.
    fn forward(&mut self, batch: &[Row<'_>]) -> Result<TabularHidden, CoreError> {
        let (mut rows, mut kept) = (Vec::with_capacity(batch.len()), Vec::new());
        for row in batch {
            let seen = self.seen(row)?;
            rows.push(self.row_logits(row, &seen)?);
            kept.extend(row.cache.map(|slot| (slot, seen)));
        }
        self.kept.extend(kept);
        Ok(TabularHidden { padded_vocab_size: self.padded_vocab_size(), rows })
    }

    fn release(&mut self, slot: CacheSlot) {
        self.kept.remove(&slot);
    }

    fn kept_bytes(&self, length: usize, _recompute: &Recompute) -> usize {
        length * size_of::<u32>()
    }
}

impl Hidden for TabularHidden {
    type Error = CoreError;

    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), CoreError> {
        CoreError::check_index("row", row, self.rows.len())?;
        let (logits, width) = (&self.rows[row], self.padded_vocab_size);
        CoreError::check_at_most("start of range", range.start, range.end)?;
        CoreError::check_at_most("end of range", range.end, logits.len() / width)?;
        out.clear();
        out.extend_from_slice(&logits[range.start * width..range.end * width]);
        Ok(())
    }
}
