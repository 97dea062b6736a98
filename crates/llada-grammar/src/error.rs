//! The error type of this crate.

use std::time::Duration;

use llada_core::{CoreError, Hint};

/// A pattern, a vocabulary or a limit that this crate refuses. [`hint`](Self::hint) returns a remedy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// The text is not a regular expression, or it has a construct that this crate does not compile.
    #[error("the regular expression {pattern:?} is refused: {reason}")]
    Regex {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The text is not JSON.
    #[error("the text is not JSON: {0}")]
    Json(String),

    /// The schema has a keyword, or a value of one, that this crate does not compile.
    #[error("the schema's {pointer} is not supported{}", .because.map(|why| format!(": {why}")).unwrap_or_default())]
    Unsupported {
        /// The JSON pointer of the keyword.
        pointer: String,
        /// Why it is not supported, if there is more to say.
        because: Option<&'static str>,
    },

    /// The schema contradicts itself or the specification.
    #[error("the schema's {pointer} is invalid: {reason}")]
    Schema {
        /// The JSON pointer of the offending place.
        pointer: String,
        /// What is wrong with it.
        reason: String,
    },

    /// No text matches the pattern.
    #[error("no text matches the pattern")]
    Empty,

    /// Texts match the pattern, but the vocabulary has no tokens to write one of them.
    #[error("the vocabulary cannot write any text that matches the pattern")]
    Unwritable,

    /// The automaton over tokens has more states than [`Limits::states`](crate::Limits).
    #[error("the pattern is too complex: it has more than {limit} states")]
    TooManyStates {
        /// The limit.
        limit: usize,
    },

    /// An automaton takes more memory than [`Limits::dfa_bytes`](crate::Limits).
    #[error("the pattern is too complex: its automaton takes more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },

    /// Compilation took longer than [`Limits::time`](crate::Limits).
    #[error("the pattern is too complex: it was not compiled within {limit:?}")]
    TooSlow {
        /// The limit.
        limit: Duration,
    },

    /// A token's id is too large for a vocabulary.
    #[error("the token id {id} exceeds {largest}")]
    TokenId {
        /// The id.
        id: usize,
        /// The largest id of a vocabulary.
        largest: usize,
    },

    /// The description of a tokenizer is damaged, or of a kind that this crate does not know.
    #[error("the tokenizer's {key} is refused: {reason}")]
    Tokenizer {
        /// The key in `tokenizer.json`.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },

    /// The automaton cannot be represented.
    #[error(transparent)]
    Core(#[from] CoreError),
}

impl GrammarError {
    /// Returns a remedy for the error, if one is known.
    pub fn hint(&self) -> Option<Hint> {
        let advice = match self {
            Self::TooManyStates { .. } | Self::TooLarge { .. } => {
                "lower the pattern's counts, such as maxLength and maxItems, or raise the limit"
            }
            Self::TooSlow { .. } => "simplify the pattern, or raise the limit",
            Self::Core(error) => return error.hint(),
            _ => return None,
        };
        Some(Hint::Advice(advice.to_owned()))
    }
}
