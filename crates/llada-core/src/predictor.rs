//! The mask predictor $p_\theta(\cdot \mid x_t)$ as samplers and estimators see it.
//!
//! They know this trait, not a tensor library: so each can be tested on a
//! [`TabularPredictor`](crate::tabular::TabularPredictor), whose probabilities are known.
//!
//! A prediction has two phases. [`forward`](MaskPredictor::forward) runs the Transformer's body and
//! keeps the hidden states of the *wanted* positions; [`logits`](MaskPredictor::logits) then
//! applies the head to as many of them at a time as the caller likes. A vocabulary of 126 464 makes
//! the logits of 1 024 tokens half a gigabyte in `f32`, of which a step reads only the rows that
//! are still masked; in two phases the full logits never exist.

use std::ops::Range;

/// One row of a ragged batch.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The token ids of the row, masks among them.
    pub ids: &'a [u32],
    /// The positions whose logits will be read, in ascending order.
    pub wanted: &'a [usize],
    /// Whether every wanted position has a *shadow* ([WINO](https://arxiv.org/abs/2507.18578)): one more mask at the same
    /// position, which sees all other shadows, and all tokens but the one in whose place it stands. No token sees a
    /// shadow. A visible wanted position is then predicted by its shadow: how probable is the token, given the others?
    pub shadowed: bool,
    /// What is computed anew, and what is taken from an earlier forward.
    pub reuse: Reuse,
}

impl<'a> Row<'a> {
    /// A row without shadows, of which nothing is reused or kept.
    pub fn new(ids: &'a [u32], wanted: &'a [usize]) -> Self {
        Self { ids, wanted, shadowed: false, reuse: Reuse::Nothing }
    }
}

/// What of a row is computed anew, and what is taken from the keys and values that an earlier forward kept under a slot.
///
/// A bidirectional model has no exact cache: what a position was computed from includes every later change. To reuse is
/// to let the others look as they did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// Everything is computed, nothing is kept.
    #[default]
    Nothing,
    /// Everything is computed, and kept under `slot`.
    Keep {
        /// Any number; the keys and values kept there before are forgotten.
        slot: usize,
    },
    /// The positions `start..end` alone are computed, and replace theirs under `slot`; all others are reused. Wanted
    /// positions lie among them.
    Span {
        /// A slot that keeps a row of this length.
        slot: usize,
        /// First position that is computed.
        start: usize,
        /// The position after the last that is computed.
        end: usize,
    },
    /// Of the positions `start..end` those are computed, layer by layer, whose values have moved the most since they were
    /// kept; to the others each layer adds what it added then ([dLLM-Cache](https://arxiv.org/abs/2506.06295)). Everything
    /// outside is reused. What a layer adds is kept by this alone: under a slot it begins with all of the row.
    Moved {
        /// A slot that keeps a row of this length, or any if all of the row is computed.
        slot: usize,
        /// First position that may be computed.
        start: usize,
        /// The position after the last that may be computed.
        end: usize,
        /// How many of them are.
        count: usize,
    },
}

impl Reuse {
    /// The positions of a row of `length` that have a prediction, as wanted ones must.
    pub fn computed(self, length: usize) -> Range<usize> {
        match self {
            Self::Nothing | Self::Keep { .. } => 0..length,
            Self::Span { start, end, .. } | Self::Moved { start, end, .. } => start..end,
        }
    }

    /// Whether nothing of a row of `length` is reused.
    pub fn is_whole(self, length: usize) -> bool {
        match self {
            Self::Nothing | Self::Keep { .. } => true,
            Self::Span { .. } => false,
            Self::Moved { count, .. } => count == length,
        }
    }

    /// Where keys and values are kept, if they are.
    pub fn slot(self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Keep { slot } | Self::Span { slot, .. } | Self::Moved { slot, .. } => Some(slot),
        }
    }
}

/// The most probable token that may be emitted at a position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pick {
    /// Its id.
    pub token: u32,
    /// Its share of the softmax over all ids, those that may not be emitted among them.
    pub probability: f32,
}

/// A model that predicts all masked tokens of a sequence at once.
pub trait MaskPredictor {
    /// What can go wrong while it does.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The length of a row of logits: the vocabulary, and rows of the embedding that no token has.
    fn logits_width(&self) -> usize;

    /// The id of the mask token, `M`.
    fn mask_id(&self) -> u32;

    /// The ids that may never be emitted, ascending: the mask, and rows of the embedding that no
    /// token has.
    ///
    /// Their logits count in the softmax all the same, as in the reference: without them every
    /// confidence would differ.
    fn banned(&self) -> &[u32];

    /// The length of the longest row that [`forward`](Self::forward) takes.
    fn max_sequence_length(&self) -> usize;

    /// Runs the Transformer's body over a ragged batch and keeps the hidden states of the wanted
    /// positions, in place of those of the previous call.
    ///
    /// # Errors
    /// If a row is too long, or a token id or wanted position is out of range; and whatever fails
    /// in the model.
    fn forward(&mut self, batch: &[Row<'_>]) -> Result<(), Self::Error>;

    /// Forgets the keys and values of every slot.
    fn forget(&mut self);

    /// Writes the logits of `range` of row `row`'s wanted positions of the last
    /// [`forward`](Self::forward) into `out` (cleared, its allocation reused).
    ///
    /// # Shapes
    /// `out`: `[range.len(), logits_width]`, row-major.
    ///
    /// # Errors
    /// If `row` or `range` exceeds what the last `forward` kept; and whatever fails in the model.
    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), Self::Error>;

    /// Writes the picks of `range` of row `row`'s wanted positions of the last [`forward`](Self::forward) into `out`
    /// (cleared), and tells whether it did. A model whose logits lie on another device does, for two numbers a position
    /// come sooner than a vocabulary of logits; others leave `out` alone, and their caller reads
    /// [`logits`](Self::logits).
    ///
    /// # Errors
    /// As of [`logits`](Self::logits).
    fn picks(&mut self, row: usize, range: Range<usize>, out: &mut Vec<Pick>) -> Result<bool, Self::Error> {
        let _ = (row, range, out);
        Ok(false)
    }
}
