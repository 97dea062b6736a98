//! The interface of a mask predictor $p_\theta(\cdot \mid x_t)$.
//!
//! Samplers and estimators are written against these traits and not against a tensor library, so
//! they can be tested on a [`TabularPredictor`](crate::tabular::TabularPredictor), whose
//! probabilities are known exactly.
//!
//! A prediction has two phases. [`forward`](MaskPredictor::forward) runs the Transformer's body and
//! returns the hidden states of the *wanted* positions. [`logits`](Hidden::logits) then applies the
//! head to as many of them at a time as the caller likes. With a vocabulary of 126 464, the logits
//! of 1 024 tokens take half a gigabyte in `f32`, of which a step reads only the rows that are still
//! masked. In two phases the full logits never exist.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// One row of a ragged batch.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The token ids of the row, including masks.
    pub ids: &'a [u32],
    /// The positions of the ids in their sequence, in ascending order, if the row is a part of it: what is left out is
    /// neither computed nor seen, and the model places the others where they are. None if the ids lie at 0, 1, 2 and so on.
    ///
    /// All other positions, wanted or recomputed, count the ids of the row.
    pub positions: Option<&'a [usize]>,
    /// The positions whose logits will be read, in ascending order.
    pub wanted: &'a [usize],
    /// If true, every wanted position has a *shadow* ([WINO](https://arxiv.org/abs/2507.18578)).
    ///
    /// A shadow is an additional mask at the same position. It attends to all other shadows and to all tokens except the
    /// one at its own position; no token attends to a shadow. The prediction of a visible wanted position is that of its
    /// shadow, which says how probable the token is given all others.
    pub shadowed: bool,
    /// The slot that keeps the row's keys and values for later forwards, if there is one.
    ///
    /// Rows of a batch may share a slot if they have the same length and compute the same positions, as states of one
    /// sequence do that differ in these positions only. Each sees its own keys and values at the computed positions, and
    /// those of the slot at the others. Afterwards the slot has those of the last of the rows.
    pub cache: Option<CacheSlot>,
    /// The positions that are computed; the others come from the slot.
    pub recompute: Recompute,
    /// If true, the forward also measures how far the values of the wanted positions move from those in the slot
    /// ([`Hidden::drift`]). Such a row shares its slot with no other.
    pub measures_drift: bool,
    /// Positions of a block, counted from position 0, for a model whose attention is causal from block to block; none for
    /// the model's own. Other models have no use for it.
    pub block_length: Option<usize>,
}

impl<'a> Row<'a> {
    /// Creates a row without shadows that is computed entirely and uses no cache.
    pub fn new(ids: &'a [u32], wanted: &'a [usize]) -> Self {
        Self {
            ids,
            positions: None,
            wanted,
            shadowed: false,
            cache: None,
            recompute: Recompute::All,
            measures_drift: false,
            block_length: None,
        }
    }

    /// Returns the position in the sequence of the id at `index`, which must be within the row.
    pub fn position(&self, index: usize) -> usize {
        self.positions.map_or(index, |positions| positions[index])
    }

    /// Returns the number of positions that the row spans: one more than that of its last id.
    pub fn extent(&self) -> usize {
        self.ids.len().checked_sub(1).map_or(0, |last| self.position(last) + 1)
    }

    /// Returns the number of tokens that a forward computes for this row, including shadows; 0 if no position is wanted.
    pub fn computed_tokens(&self) -> usize {
        if self.wanted.is_empty() {
            return 0;
        }
        let shadows = if self.shadowed { self.wanted.len() } else { 0 };
        self.recompute.range(self.ids.len()).len() + shadows
    }
}

/// Returns the index of the first row whose slot an earlier row has too, although the two cannot
/// [share](Row::cache) it.
pub fn first_conflict(batch: &[Row<'_>]) -> Option<usize> {
    let mut earlier: BTreeMap<CacheSlot, &Row<'_>> = BTreeMap::new();
    batch.iter().position(|row| {
        let Some(other) = row.cache.and_then(|slot| earlier.insert(slot, row)) else { return false };
        let is_alike = (row.ids.len(), row.positions) == (other.ids.len(), other.positions);
        // The least similar positions are not the same for different tokens.
        let measures = row.measures_drift || other.measures_drift;
        !is_alike
            || measures
            || row.recompute != other.recompute
            || matches!(row.recompute, Recompute::LeastSimilar { .. })
    })
}

/// The number of a cache entry, in which a predictor keeps the keys and values of one row and, for some caches, the outputs
/// of its layers.
///
/// The caller chooses the numbers. A forward over a row with a slot fills the slot;
/// [`release`](MaskPredictor::release) empties it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheSlot(pub usize);

impl fmt::Display for CacheSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.0)
    }
}

/// The positions of a row that a forward computes; the others come from the row's [`CacheSlot`].
///
/// A bidirectional model has no exact cache, because every position depends on every other. If a position is reused, the
/// others see it as it was when it was last computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// Every position is computed. If the row has a slot, its keys and values are stored there.
    #[default]
    All,
    /// These positions are computed, and their keys and values replace those in the slot, which must hold a row of the
    /// same length and the same [`positions`](Row::positions). All wanted positions must lie in the range.
    Span(Range<usize>),
    /// In each layer, the positions whose values are the least similar to those in the slot are computed; for the others
    /// the layer's output from when they were last computed is added ([dLLM-Cache](https://arxiv.org/abs/2506.06295)).
    /// Everything outside of `within` is reused.
    ///
    /// The slot must also hold the outputs of the layers. It does if its first forward has the whole row as `within` and
    /// the length of the row as `count`.
    LeastSimilar {
        /// The candidates. All wanted positions must lie in this range.
        within: Range<usize>,
        /// The number of candidates that are computed.
        count: usize,
    },
}

impl Recompute {
    /// Returns the positions of a row of `length` tokens that may be wanted.
    pub fn range(&self, length: usize) -> Range<usize> {
        match self {
            Self::All => 0..length,
            Self::Span(range) => range.clone(),
            Self::LeastSimilar { within, .. } => within.clone(),
        }
    }

    /// Returns true if no position of a row of `length` tokens is reused.
    pub fn is_whole(&self, length: usize) -> bool {
        match self {
            Self::All => true,
            Self::Span(_) => false,
            Self::LeastSimilar { count, .. } => *count == length,
        }
    }
}

/// The most probable token at a position, banned ids excluded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopToken {
    /// The id of the token.
    pub token: u32,
    /// The probability of the token, by a softmax over all ids including banned ones.
    pub probability: f32,
}

/// A model that predicts all masked tokens of a sequence at once.
pub trait MaskPredictor {
    /// The error type of a forward and of its hidden states.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The hidden states that a forward returns, which may borrow the model.
    type Hidden<'a>: Hidden<Error = Self::Error>
    where
        Self: 'a;

    /// Returns the length of a row of logits: the size of the vocabulary plus the padding rows of the
    /// embedding.
    fn padded_vocab_size(&self) -> usize;

    /// Returns the id of the mask token, `M`.
    fn mask_id(&self) -> u32;

    /// Returns the ids that must never be emitted, in ascending order: the mask and the padding rows
    /// of the embedding.
    ///
    /// As in the reference, their logits still count in the softmax. Without them every confidence
    /// would differ.
    fn banned(&self) -> &[u32];

    /// Returns the length of the longest row that [`forward`](Self::forward) accepts, in tokens.
    fn max_sequence_length(&self) -> usize;

    /// Returns true if a row may be a [part](Row::positions) of its sequence. A model that is causal, be it from block to
    /// block, has no use for it.
    fn takes_parts(&self) -> bool {
        true
    }

    /// Runs the Transformer's body over a ragged batch and returns the hidden states of the wanted
    /// positions.
    ///
    /// # Errors
    /// If a row is too long, if a token id or a wanted position is out of range, if a slot does not
    /// hold what the row reuses, if rows cannot share their slot, or if the model fails. After a failure
    /// each slot of the batch is either empty or in a state that allows the forward to be repeated.
    fn forward(&mut self, batch: &[Row<'_>]) -> Result<Self::Hidden<'_>, Self::Error>;

    /// Empties a slot. An empty slot stays empty.
    fn release(&mut self, slot: CacheSlot);

    /// Returns the size in bytes of a slot that holds a row of `length` tokens and is used as
    /// `recompute` says.
    fn kept_bytes(&self, length: usize, recompute: &Recompute) -> usize;
}

/// A borrowed predictor: whoever owns a model that learns lends it to those who sample from it.
impl<P: MaskPredictor> MaskPredictor for &mut P {
    type Error = P::Error;
    type Hidden<'a>
        = P::Hidden<'a>
    where
        Self: 'a;

    fn padded_vocab_size(&self) -> usize {
        (**self).padded_vocab_size()
    }

    fn mask_id(&self) -> u32 {
        (**self).mask_id()
    }

    fn banned(&self) -> &[u32] {
        (**self).banned()
    }

    fn max_sequence_length(&self) -> usize {
        (**self).max_sequence_length()
    }

    fn takes_parts(&self) -> bool {
        (**self).takes_parts()
    }

    fn forward(&mut self, batch: &[Row<'_>]) -> Result<Self::Hidden<'_>, Self::Error> {
        (**self).forward(batch)
    }

    fn release(&mut self, slot: CacheSlot) {
        (**self).release(slot);
    }

    fn kept_bytes(&self, length: usize, recompute: &Recompute) -> usize {
        (**self).kept_bytes(length, recompute)
    }
}

/// The hidden states of a batch's wanted positions, from which the head computes logits.
pub trait Hidden {
    /// The error type of the head.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Writes the logits of the wanted positions `range` of row `row` into `out`. `range` counts
    /// wanted positions, not tokens. `out` is cleared first; its allocation is reused.
    ///
    /// # Shapes
    /// `out`: `[range.len(), padded_vocab_size]`, row-major.
    ///
    /// # Errors
    /// If the batch has no such row, if the row has no such wanted positions, or if the model fails.
    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), Self::Error>;

    /// Returns the top tokens of the wanted positions `range` of row `row` if the model finds them
    /// at a lower cost than logits, otherwise `None`. The caller then reads
    /// [`logits`](Self::logits).
    ///
    /// It pays off where logits lie on another device: only two numbers per position are
    /// transferred, instead of a whole row of logits.
    ///
    /// # Errors
    /// As for [`logits`](Self::logits).
    fn top_tokens(&mut self, row: usize, range: Range<usize>) -> Result<Option<Vec<TopToken>>, Self::Error> {
        let _ = (row, range);
        Ok(None)
    }

    /// Returns how far the values of row `row` at its wanted positions have moved from those that its slot held: one minus
    /// their cosine similarity, averaged over positions and layers, which is 0 if they have kept their direction and at
    /// most 2. None if the row did not [ask for it](Row::measures_drift), if everything was computed, or if the model
    /// does not measure it.
    ///
    /// # Errors
    /// If the model fails.
    fn drift(&mut self, row: usize) -> Result<Option<f32>, Self::Error> {
        let _ = row;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_share_a_slot_if_they_compute_the_same_positions() {
        let row = |slot, ids, recompute| Row { cache: Some(CacheSlot(slot)), recompute, ..Row::new(ids, &[]) };
        let span = Recompute::Span(1..2);
        let least_similar = Recompute::LeastSimilar { within: 0..3, count: 1 };
        let [ids, others, short]: [&[u32]; 3] = [&[1, 2, 3], &[1, 3, 3], &[1, 2]];
        let alike = [row(0, ids, span.clone()), row(1, short, Recompute::All), row(0, others, span.clone())];
        assert_eq!(first_conflict(&alike), None);
        assert_eq!(first_conflict(&[Row::new(ids, &[]), Row::new(short, &[])]), None);
        let elsewhere = Row { positions: Some(&[0, 1, 5]), ..row(0, ids, span.clone()) };
        let measuring = Row { measures_drift: true, ..row(0, ids, span.clone()) };
        for other in [row(0, ids, Recompute::All), row(0, short, span.clone()), elsewhere, measuring] {
            assert_eq!(first_conflict(&[row(0, ids, span.clone()), row(1, ids, span.clone()), other]), Some(2));
        }
        assert_eq!(first_conflict(&[row(0, ids, least_similar.clone()), row(0, ids, least_similar)]), Some(1));
    }
}
