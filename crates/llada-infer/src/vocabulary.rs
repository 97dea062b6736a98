//! What sampling has to know of a predictor's vocabulary.

use llada_core::predictor::MaskPredictor;

/// The ids that some options treat apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// End of the text.
    pub eos: u32,
    /// End of a turn of a conversation, if the tokenizer has one.
    pub eot: Option<u32>,
}

impl SpecialTokens {
    /// What stands before the first end of the text or of the turn in `ids`.
    pub fn cut<'a>(&self, ids: &'a [u32]) -> &'a [u32] {
        let end = ids.iter().position(|&id| id == self.eos || Some(id) == self.eot);
        &ids[..end.unwrap_or(ids.len())]
    }
}

/// The ids of a predictor, copied: while somebody reads the hidden states of a forward, the predictor is borrowed.
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

    /// Whether `id` may stand in a prompt: a mask, or a token that may be emitted.
    pub(crate) fn knows(&self, id: u32) -> bool {
        id == self.mask_id || (id as usize) < self.padded_size && self.banned.binary_search(&id).is_err()
    }

    /// The first id from which on there are no tokens.
    pub(crate) fn end(&self) -> u32 {
        (0..self.padded_size as u32).rev().find(|&id| self.knows(id)).map_or(0, |last| last + 1)
    }
}
