//! Vocabularies: the bytes of every token that may be emitted.

mod spelling;
mod tokenizer_json;
mod trie;

pub use spelling::Spelling;
pub(crate) use trie::Trie;

use crate::GrammarError;

/// The largest number of token ids.
const LARGEST: usize = 1 << 22;

/// The bytes of every token that may be emitted.
///
/// Special tokens have none: they mark the end of a text or the turns of a chat, and no text has them.
///
/// ```
/// use llada_grammar::{Spelling, Vocabulary};
///
/// let vocabulary = Vocabulary::from_pieces(Spelling::ByteLevel, [(0, "Ġyes"), (2, "Ċ")])?;
/// assert_eq!(vocabulary.bytes(0), Some(b" yes".as_slice()));
/// assert_eq!((vocabulary.bytes(1), vocabulary.tokens()), (None, 3));
/// # Ok::<(), llada_grammar::GrammarError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Vocabulary {
    pieces: Vec<Option<Vec<u8>>>,
    trie: Trie,
}

impl Vocabulary {
    /// Creates a vocabulary from the bytes of each token, by id. A token without bytes is never emitted.
    ///
    /// # Errors
    /// If there are more than 2²² tokens.
    pub fn new(mut pieces: Vec<Option<Vec<u8>>>) -> Result<Self, GrammarError> {
        check_id(pieces.len().saturating_sub(1))?;
        for piece in &mut pieces {
            piece.take_if(|bytes| bytes.is_empty());
        }
        Ok(Self { trie: Trie::new(&pieces), pieces })
    }

    /// Creates a vocabulary from ids and the pieces of a tokenizer in its own spelling. Ids that do not occur are never
    /// emitted; the last piece of an id counts.
    ///
    /// # Errors
    /// If an id is 2²² or more.
    pub fn from_pieces<'a>(
        spelling: Spelling,
        pieces: impl IntoIterator<Item = (u32, &'a str)>,
    ) -> Result<Self, GrammarError> {
        let mut all = Vec::new();
        for (id, piece) in pieces {
            set(&mut all, id, Some(spelling.bytes(piece)))?;
        }
        Self::new(all)
    }

    /// Returns the number of ids, emitted or not.
    pub fn tokens(&self) -> usize {
        self.pieces.len()
    }

    /// Returns the bytes of a token, or `None` if it is never emitted.
    pub fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.pieces.get(token as usize)?.as_deref()
    }

    pub(crate) fn trie(&self) -> &Trie {
        &self.trie
    }
}

fn check_id(id: usize) -> Result<(), GrammarError> {
    if id < LARGEST { Ok(()) } else { Err(GrammarError::TokenId { id, largest: LARGEST - 1 }) }
}

/// Sets the bytes of a token in a list that grows with its ids.
fn set(pieces: &mut Vec<Option<Vec<u8>>>, id: u32, bytes: Option<Vec<u8>>) -> Result<(), GrammarError> {
    let index = id as usize;
    check_id(index)?;
    if pieces.len() <= index {
        pieces.resize(index + 1, None);
    }
    pieces[index] = bytes;
    Ok(())
}
