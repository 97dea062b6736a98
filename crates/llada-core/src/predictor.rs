//! The mask predictor $p_\theta(\cdot \mid x_t)$ as samplers and estimators see it.
//!
//! They know this trait, not a tensor library: so each can be tested on a
//! [`TabularPredictor`](crate::tabular::TabularPredictor), whose probabilities are known.
//!
//! A prediction has two phases. [`forward`](MaskPredictor::forward) runs the Transformer's body and
//! returns the hidden states of the *wanted* positions; [`logits`](Hidden::logits) then applies the
//! head to as many of them at a time as the caller likes. A vocabulary of 126 464 makes the logits
//! of 1 024 tokens half a gigabyte in `f32`, of which a step reads only the rows that are still
//! masked; in two phases the full logits never exist.

use std::fmt;
use std::ops::Range;

/// One row of a ragged batch.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The token ids of the row, masks among them.
    pub ids: &'a [u32],
    /// The positions whose logits will be read, in ascending order.
    pub wanted: &'a [usize],
    /// Whether every wanted position has a *shadow* ([WINO](https://arxiv.org/abs/2507.18578)): one more mask at the same
    /// position, which sees all other shadows, and all tokens but the one in whose place it stands. No token sees a
    /// shadow. A visible wanted position is then predicted by its shadow: how probable is the token, given the others?
    pub shadowed: bool,
    /// The slot under which the row's keys and values are kept for later forwards, if they are.
    pub cache: Option<CacheSlot>,
    /// Which positions are computed; the others come from the slot.
    pub recompute: Recompute,
}

impl<'a> Row<'a> {
    /// A row without shadows that is computed from scratch and keeps nothing.
    pub fn new(ids: &'a [u32], wanted: &'a [usize]) -> Self {
        Self { ids, wanted, shadowed: false, cache: None, recompute: Recompute::All }
    }

    /// The tokens that a forward computes for this row, its shadows among them; none if nothing is wanted of it.
    pub fn computed_tokens(&self) -> usize {
        if self.wanted.is_empty() {
            return 0;
        }
        let shadows = if self.shadowed { self.wanted.len() } else { 0 };
        self.recompute.range(self.ids.len()).len() + shadows
    }
}

/// The name of what a predictor keeps of one row: its keys and values, and perhaps its layers' outputs.
///
/// The caller chooses the numbers. A slot is filled by a forward that names it, and empty again after
/// [`release`](MaskPredictor::release).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheSlot(pub usize);

impl fmt::Display for CacheSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.0)
    }
}

/// Which positions of a row a forward computes; the rest come from the row's [`CacheSlot`].
///
/// A bidirectional model has no exact cache: what a position was computed from includes every later change. To reuse a
/// position is to let the others see it as it was when it was last computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// Every position is computed. With a slot, it keeps the row's keys and values.
    #[default]
    All,
    /// These positions are computed and take their places in the slot, which keeps a row of this length. Wanted positions
    /// lie among them.
    Span(Range<usize>),
    /// In each layer, the positions whose values are the least similar to those in the slot are computed; to the others
    /// the layer adds what it added when they were ([dLLM-Cache](https://arxiv.org/abs/2506.06295)). Everything outside
    /// of `within` is reused.
    ///
    /// This needs more of a row than its keys and values. A slot that is to serve it starts with a forward in which
    /// `within` is the whole row and `count` its length.
    LeastSimilar {
        /// The positions that may be computed. Wanted positions lie among them.
        within: Range<usize>,
        /// The number of positions that are.
        count: usize,
    },
}

impl Recompute {
    /// The positions of a row of `length` that have a prediction, as wanted ones must.
    pub fn range(&self, length: usize) -> Range<usize> {
        match self {
            Self::All => 0..length,
            Self::Span(range) => range.clone(),
            Self::LeastSimilar { within, .. } => within.clone(),
        }
    }

    /// Whether nothing of a row of `length` is reused.
    pub fn is_whole(&self, length: usize) -> bool {
        match self {
            Self::All => true,
            Self::Span(_) => false,
            Self::LeastSimilar { count, .. } => *count == length,
        }
    }
}

/// The most probable token that may be emitted at a position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopToken {
    /// Its id.
    pub token: u32,
    /// Its share of the softmax over all ids, those that may not be emitted among them.
    pub probability: f32,
}

/// A model that predicts all masked tokens of a sequence at once.
pub trait MaskPredictor {
    /// The error of a prediction.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The hidden states that a forward returns.
    type Hidden<'a>: Hidden<Error = Self::Error>
    where
        Self: 'a;

    /// The length of a row of logits: the vocabulary, and rows of the embedding that no token has.
    fn padded_vocab_size(&self) -> usize;

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

    /// Runs the Transformer's body over a ragged batch and returns the hidden states of the wanted
    /// positions.
    ///
    /// # Errors
    /// If a row is too long, or a token id or wanted position is out of range, or a slot does not
    /// keep what the row reuses; and whatever fails in the model. After a failure each slot of the
    /// batch is either such that the forward can be repeated, or empty.
    fn forward(&mut self, batch: &[Row<'_>]) -> Result<Self::Hidden<'_>, Self::Error>;

    /// Empties a slot. Nothing happens if it is empty.
    fn release(&mut self, slot: CacheSlot);

    /// The bytes that the slot of a row of `length` tokens holds, if `recompute` is how it is used.
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

/// The hidden states of a batch's wanted positions: what the head makes logits of.
pub trait Hidden {
    /// The error of the head.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Writes the logits of `range` of row `row`'s wanted positions into `out` (cleared, its
    /// allocation reused).
    ///
    /// # Shapes
    /// `out`: `[range.len(), padded_vocab_size]`, row-major.
    ///
    /// # Errors
    /// If the batch has no such row, or the row no such wanted positions; and whatever fails in the
    /// model.
    fn logits(&mut self, row: usize, range: Range<usize>, out: &mut Vec<f32>) -> Result<(), Self::Error>;

    /// The top tokens of `range` of row `row`'s wanted positions, where they come cheaper than
    /// logits: from a model whose logits lie on another device, two numbers a position are sooner
    /// here than a vocabulary. `None` of any other model; its caller reads
    /// [`logits`](Self::logits).
    ///
    /// # Errors
    /// As of [`logits`](Self::logits).
    fn top_tokens(&mut self, row: usize, range: Range<usize>) -> Result<Option<Vec<TopToken>>, Self::Error> {
        let _ = (row, range);
        Ok(None)
    }
}
