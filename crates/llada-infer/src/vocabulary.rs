//! The part of a predictor's vocabulary that sampling needs.

use llada_core::predictor::MaskPredictor;

/// The ids of special tokens, which some options treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// The end-of-text token.
    pub eos: u32,
    /// The end-of-turn token of a conversation, if the tokenizer has one.
    pub eot: Option<u32>,
}

impl SpecialTokens {
    /// Returns the part of `ids` before the first end-of-text or end-of-turn token.
    pub fn cut<'a>(&self, ids: &'a [u32]) -> &'a [u32] {
        let end = ids.iter().position(|&id| id == self.eos || Some(id) == self.eot);
        &ids[..end.unwrap_or(ids.len())]
    }
}

/// A copy of a predictor's special ids. It is a copy because the hidden states of a forward borrow the predictor.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
    /// The length of a row of logits.
    pub(crate) padded_size: usize,
    pub(crate) mask_id: u32,
    /// The ids that are never emitted, ascending.
    pub(crate) banned: Vec<u32>,
    pub(crate) special: SpecialTokens,
}

impl Vocabulary {
    pub(crate) fn new<P: MaskPredictor>(predictor: &P, special: SpecialTokens) -> Self {
        Self {
            padded_size: predictor.padded_vocab_size(),
            mask_id: predictor.mask_id(),
            banned: predictor.banned().to_vec(),
            special,
        }
    }

    /// Returns true if `id` may occur in a prompt: it is the mask or a token that may be emitted.
    pub(crate) fn knows(&self, id: u32) -> bool {
        id == self.mask_id || (id as usize) < self.padded_size && self.banned.binary_search(&id).is_err()
    }

    /// Returns true if `id` may be emitted and does not end an answer.
    pub(crate) fn is_text(&self, id: u32) -> bool {
        self.knows(id) && id != self.mask_id && id != self.special.eos && Some(id) != self.special.eot
    }

    /// Returns the ids that may be emitted and do not end an answer.
    pub(crate) fn texts(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.padded_size as u32).filter(|&id| self.is_text(id))
    }

    /// Returns the id after the last one that may occur in a prompt.
    pub(crate) fn end(&self) -> u32 {
        (0..self.padded_size as u32).rev().find(|&id| self.knows(id)).map_or(0, |last| last + 1)
    }
}
