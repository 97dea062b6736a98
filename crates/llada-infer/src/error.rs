//! What can go wrong between a request and its answer.

use llada_core::CoreError;
use strum::VariantNames;

/// The error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// A setting is impossible.
    #[error(transparent)]
    Setting(#[from] CoreError),
    /// Prompt and answer together exceed what the model was made for.
    #[error(
        "{prompt} prompt tokens and gen_length {gen_length} exceed max_sequence_length {max_sequence_length}; hint: {}",
        longest(*.prompt, *.max_sequence_length)
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens asked for.
        gen_length: usize,
        /// The model's limit.
        max_sequence_length: usize,
    },
    /// Prompt and scored answer together exceed what the model was made for.
    #[error(
        "{prompt} prompt tokens and {answer} answer tokens exceed max_sequence_length {max_sequence_length}; hint: shorten the prompt or the answer"
    )]
    ScoredTooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of the answer.
        answer: usize,
        /// The model's limit.
        max_sequence_length: usize,
    },
    /// Nothing is masked and nothing is to be appended.
    #[error("gen_length is 0 and the prompt holds no mask; hint: --gen-length 128")]
    NothingToDo,
    /// A prompt holds an id that no token has.
    #[error("prompt id {id} at position {position} is no token of the model, whose ids are below {limit}")]
    UnknownId {
        /// The id.
        id: u32,
        /// Where it stands in the prompt.
        position: usize,
        /// The first id from which on there are no tokens.
        limit: u32,
    },
    /// A name that no cache or decoder has.
    #[error("unknown {what} {name:?}; hint: {known}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Fewer forwards than blocks.
    #[error(
        "max_nfe {max_nfe} is less than the {blocks} blocks, each of which needs a forward; hint: --max-nfe {blocks}, or a larger --block-length"
    )]
    Budget {
        /// Forwards that were allowed.
        max_nfe: usize,
        /// Forwards that are needed at least.
        blocks: usize,
    },
    /// Something does not go with an answer that grows in its midst.
    #[error("length daedal does not go with {with}; hint: {hint}")]
    Daedal {
        /// The option and its value.
        with: String,
        /// What goes with it, or instead of it.
        hint: &'static str,
    },
    /// What the reference defers above temperature 0 does not exist.
    #[error(
        "confidence_eos_eot_inf as the reference has it acts above temperature 0 on end-of-turn alone, and no such token is known; hint: --temperature 0, or neither --reference-compat nor --algorithm"
    )]
    NothingDeferred,
    /// The model gave logits that are no numbers.
    #[error("the model's logits at position {position} are not finite; hint: check its weights with llada inspect")]
    NotFinite {
        /// Position in the sequence.
        position: usize,
    },
    /// The callback asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The predictor failed.
    #[error(transparent)]
    Predict(Box<dyn std::error::Error + Send + Sync>),
}

impl InferError {
    /// No `K` has this name.
    pub(crate) fn unknown<K: VariantNames>(what: &'static str, name: &str) -> Self {
        Self::Unknown { what, name: name.to_owned(), known: K::VARIANTS.join(", ") }
    }

    pub(crate) fn predict(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Predict(Box::new(error))
    }
}

/// Refuses a setting that is negative, infinite or no number.
pub(crate) fn check_from_zero(name: &'static str, found: impl Into<f64>) -> Result<(), InferError> {
    match found.into() {
        found if found.is_finite() && found >= 0.0 => Ok(()),
        found => Err(CoreError::Outside { name, found, lowest: 0.0, highest: f64::INFINITY }.into()),
    }
}

fn longest(prompt: usize, max_sequence_length: usize) -> String {
    match max_sequence_length.checked_sub(prompt) {
        Some(room @ 1..) => format!("--gen-length {room} is the most that fits"),
        _ => "shorten the prompt".to_owned(),
    }
}
