//! An exact [`MaskPredictor`]: the conditionals of a joint distribution that is given as a table.
//!
//! Decoders and estimators can be compared with the truth on it. All conditionals come from one joint
//! distribution, so they are consistent for every order in which tokens are unmasked.
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
use crate::predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row, first_conflict};
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
    kept: BTreeMap<CacheSlot, SlotRow>,
}

/// A row in a slot.
#[derive(Clone, Debug)]
struct SlotRow {
    /// The id at every position when that position was last computed.
    seen: Vec<u32>,
    positions: Option<Vec<usize>>,
}

/// The result of a [`TabularPredictor`]'s forward. It already holds the logits.
#[derive(Clone, Debug)]
pub struct TabularHidden {
    padded_vocab_size: usize,
    /// The logits of each row, with shape (wanted, padded_vocab_size).
    rows: Vec<Vec<f32>>,
}

impl TabularPredictor {
    /// Creates the predictor of `joint`, which has the weight of every sequence of `length` tokens
    /// over a vocabulary of `tokens`, in lexicographic order (the last position varies fastest). The
    /// weights need not sum to one.
    ///
    /// # Shapes
    /// `joint`: `[tokens, tokens, ..]`, `length` times.
    ///
    /// # Errors
    /// If `joint` does not have `tokens` to the power of `length` entries, if one of them is negative
    /// or not finite, or if all are zero.
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

    /// Returns the probability of the visible tokens of `ids`, summed over all tokens at the masks
    /// and at the positions after the end of `ids`.
    pub fn probability(&self, ids: &[u32]) -> f64 {
        self.completions(ids).map(|(_, p)| p).sum()
    }

    /// Returns the index and the probability of every sequence that agrees with the visible tokens of `ids`.
    fn completions(&self, ids: &[u32]) -> impl Iterator<Item = (usize, f64)> {
        self.joint.iter().copied().enumerate().filter(move |&(sequence, _)| self.agrees(sequence, ids))
    }

    /// Returns true if the sequence with this index has the visible tokens of `ids`.
    fn agrees(&self, sequence: usize, ids: &[u32]) -> bool {
        if ids.len() > self.length {
            return false;
        }
        for (position, &id) in ids.iter().enumerate() {
            if id != self.mask_id && id as usize != self.token(sequence, position) {
                return false;
            }
        }
        true
    }

    /// Returns the token at `position` of the sequence with this index.
    fn token(&self, sequence: usize, position: usize) -> usize {
        sequence / self.tokens.pow((self.length - 1 - position) as u32) % self.tokens
    }

    /// Returns the slots that hold a row, in ascending order.
    pub fn slots(&self) -> impl Iterator<Item = CacheSlot> {
        self.kept.keys().copied()
    }

    /// Returns the ids that the row's predictions depend on: at reused positions, those from when they were last computed.
    fn seen(&self, row: &Row<'_>) -> Result<Vec<u32>, CoreError> {
        let length = row.ids.len();
        if row.recompute.is_whole(length) {
            return Ok(row.ids.to_vec());
        }
        let range = row.recompute.range(length);
        CoreError::check_at_most("start of span", range.start, range.end)?;
        CoreError::check_at_most("end of span", range.end, length)?;
        let kept = row.cache.and_then(|slot| self.kept.get(&slot));
        let kept = kept.filter(|kept| kept.positions.as_deref() == row.positions);
        let mut seen = kept.map_or_else(Vec::new, |kept| kept.seen.clone());
        CoreError::check_length("kept row", seen.len(), length)?;
        let mut positions = Vec::from_iter(range);
        if let Recompute::LeastSimilar { count, .. } = row.recompute {
            // Positions whose id has changed are the least similar; the sort is stable.
            positions.sort_by_key(|&position| seen[position] == row.ids[position]);
            positions.truncate(count);
        }
        for position in positions {
            seen[position] = row.ids[position];
        }
        Ok(seen)
    }

    /// Computes the logits of a row's wanted positions, whose predictions depend on the ids `seen`.
    fn row_logits(&self, row: &Row<'_>, seen: &[u32]) -> Result<Vec<f32>, CoreError> {
        CoreError::check_at_most("row length", row.ids.len(), self.length)?;
        if let Some(positions) = row.positions {
            return self.partial_row_logits(row, positions, seen);
        }
        for &id in row.ids {
            CoreError::check_index("token id", id as usize, self.padded_vocab_size())?;
        }
        for &position in row.wanted {
            CoreError::check_index("wanted position", position, seen.len())?;
        }
        let width = self.padded_vocab_size();
        let mut marginals = vec![0.0; row.wanted.len() * width];
        if row.shadowed {
            // A shadow sees everything but the token at its own position, as a mask there does.
            for (marginal, position) in marginals.chunks_mut(width).zip(row.wanted) {
                let mut ids = seen.to_vec();
                ids[*position] = self.mask_id;
                self.add_marginals(&ids, std::slice::from_ref(position), marginal);
            }
        } else {
            self.add_marginals(seen, row.wanted, &mut marginals);
        }
        for marginal in marginals.chunks_mut(width) {
            let mut mass: f64 = marginal.iter().sum();
            // Tokens that are committed in parallel may contradict each other. A prediction from
            // impossible tokens is arbitrary, but it has to have a finite logit.
            if mass == 0.0 {
                marginal[..self.tokens].fill(1.0);
                mass = self.tokens as f64;
            }
            marginal.iter_mut().for_each(|p| *p = (*p / mass).ln());
        }
        Ok(marginals.into_iter().map(|logit| logit as f32).collect())
    }

    /// Computes the logits of a row that is a part of its sequence. What is left out is unknown, as a mask is.
    fn partial_row_logits(&self, row: &Row<'_>, positions: &[usize], seen: &[u32]) -> Result<Vec<f32>, CoreError> {
        CoreError::check_length("positions", positions.len(), row.ids.len())?;
        CoreError::check_at_most("extent of a row", row.extent(), self.length)?;
        let mut whole = [vec![self.mask_id; row.extent()], vec![self.mask_id; row.extent()]];
        for (index, &position) in positions.iter().enumerate() {
            CoreError::check_index("position", position, row.extent())?;
            (whole[0][position], whole[1][position]) = (row.ids[index], seen[index]);
        }
        let mut wanted = Vec::with_capacity(row.wanted.len());
        for &index in row.wanted {
            CoreError::check_index("wanted position", index, positions.len())?;
            wanted.push(positions[index]);
        }
        self.row_logits(&Row { shadowed: row.shadowed, ..Row::new(&whole[0], &wanted) }, &whole[1])
    }

    /// Adds the probability of every completion of `ids` to its token at each wanted position.
    ///
    /// # Shapes
    /// `marginals`: `[wanted.len(), padded_vocab_size]`, row-major.
    fn add_marginals(&self, ids: &[u32], wanted: &[usize], marginals: &mut [f64]) {
        for (sequence, p) in self.completions(ids) {
            for (marginal, &position) in marginals.chunks_mut(self.padded_vocab_size()).zip(wanted) {
                marginal[self.token(sequence, position)] += p;
            }
        }
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

    /// Runs no model: it sums the table.
    ///
    /// A row that is shorter than the table is a prefix. A visible position predicts its own token,
    /// unless it has a shadow. If the visible tokens cannot occur together, all tokens are equally
    /// probable. If a row is refused, no slot changes.
    fn forward(&mut self, batch: &[Row<'_>]) -> Result<TabularHidden, CoreError> {
        if let Some(row) = first_conflict(batch) {
            return Err(CoreError::SharedSlot { row });
        }
        let (mut rows, mut kept) = (Vec::with_capacity(batch.len()), Vec::new());
        for row in batch {
            let seen = self.seen(row)?;
            rows.push(self.row_logits(row, &seen)?);
            let positions = row.positions.map(<[usize]>::to_vec);
            kept.extend(row.cache.map(|slot| (slot, SlotRow { seen, positions })));
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
