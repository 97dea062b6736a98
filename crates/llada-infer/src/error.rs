//! What can go wrong between a request and its answer.

use llada_core::{CoreError, Hint};
use strum::VariantNames;

/// The error of this crate. What would help is apart from the message: [`hint`](Self::hint).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// A setting is impossible.
    #[error(transparent)]
    Setting(#[from] CoreError),
    /// Prompt and answer together exceed what the model was made for.
    #[error("{prompt} prompt tokens and gen_length {gen_length} exceed max_sequence_length {max_sequence_length}")]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens asked for.
        gen_length: usize,
        /// The model's limit.
        max_sequence_length: usize,
    },
    /// Prompt and scored answer together exceed what the model was made for.
    #[error("{prompt} prompt tokens and {answer} answer tokens exceed max_sequence_length {max_sequence_length}")]
    ScoredTooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of the answer.
        answer: usize,
        /// The model's limit.
        max_sequence_length: usize,
    },
    /// Nothing is masked and nothing is to be appended.
    #[error("gen_length is 0 and the prompt holds no mask")]
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
    /// A name that no method of this kind has.
    #[error("unknown {what} {name:?}")]
    Unknown {
        /// What was looked for: `decoder`, `cache` or `length`.
        what: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: &'static [&'static str],
    },
    /// An option that the chosen method does not have.
    #[error("{kind} {method} has no option {option}")]
    NotAnOption {
        /// What the method is: `decoder`, `cache` or `length`.
        kind: &'static str,
        /// The method's name.
        method: String,
        /// The option.
        option: String,
        /// The methods that have it.
        methods: Vec<String>,
    },
    /// An option that there is not.
    #[error("unknown field `{option}`")]
    UnknownOption {
        /// The option.
        option: String,
    },
    /// An option whose value is of another type.
    #[error("{option}: {source}")]
    Option {
        /// The option.
        option: String,
        /// What is wrong with its value.
        source: serde_json::Error,
    },
    /// Fewer forwards than blocks.
    #[error("max_nfe {max_nfe} is less than the {blocks} blocks, each of which needs a forward")]
    Budget {
        /// Forwards that were allowed.
        max_nfe: usize,
        /// Forwards that are needed at least.
        blocks: usize,
    },
    /// An option that is incompatible with DAEDAL.
    #[error("length daedal does not go with {with}")]
    Daedal {
        /// The option and its value.
        with: String,
        /// What goes with it, or instead of it.
        hint: Hint,
    },
    /// What the reference defers above temperature 0 does not exist.
    #[error(
        "confidence_eos_eot_inf as the reference has it acts above temperature 0 on end-of-turn alone, and no such token is known"
    )]
    NothingDeferred,
    /// The model gave logits that are no numbers.
    #[error("the model's logits at position {position} are not finite")]
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
    /// What would help.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Setting(error) => error.hint(),
            Self::TooLong { prompt, max_sequence_length, .. } => Some(match max_sequence_length.checked_sub(*prompt) {
                Some(room @ 1..) => Hint::set_with("gen_length", room, " is the most that fits"),
                _ => Hint::Advice("shorten the prompt".to_owned()),
            }),
            Self::ScoredTooLong { .. } => Some(Hint::Advice("shorten the prompt or the answer".to_owned())),
            Self::NothingToDo => Some(Hint::set("gen_length", [128])),
            Self::Unknown { known, .. } => Some(Hint::one_of(known)),
            Self::NotAnOption { kind, methods, .. } => Some(Hint::set(kind, methods)),
            Self::Budget { blocks, .. } => Some(Hint::set_with("max_nfe", blocks, ", or longer blocks")),
            Self::Daedal { hint, .. } => Some(hint.clone()),
            Self::NothingDeferred => {
                Some(Hint::set_with("temperature", 0, ", or neither reference_compat nor an algorithm that implies it"))
            }
            Self::NotFinite { .. } => Some(Hint::Advice("check the model's weights".to_owned())),
            Self::UnknownId { .. }
            | Self::UnknownOption { .. }
            | Self::Option { .. }
            | Self::Interrupted
            | Self::Predict(_) => None,
        }
    }

    /// No `K` has this name.
    pub(crate) fn unknown<K: VariantNames>(what: &'static str, name: &str) -> Self {
        Self::Unknown { what, name: name.to_owned(), known: K::VARIANTS }
    }

    pub(crate) fn predict(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Predict(Box::new(error))
    }
}

/// Refuses a setting that is negative, infinite or no number.
pub(crate) fn check_non_negative(name: &'static str, found: impl Into<f64>) -> Result<(), InferError> {
    match found.into() {
        found if found.is_finite() && found >= 0.0 => Ok(()),
        found => Err(CoreError::OutOfRange { name, found, lowest: 0.0, highest: f64::INFINITY }.into()),
    }
}

/// Refuses a count that is zero.
pub(crate) fn check_positive(name: &'static str, found: usize) -> Result<(), InferError> {
    if found == 0 { Err(CoreError::Zero { name }.into()) } else { Ok(()) }
}
