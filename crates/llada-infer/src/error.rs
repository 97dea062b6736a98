//! The error type of this crate.

use llada_core::{CoreError, Hint};
use strum::VariantNames;

/// A request that is refused, or a generation that fails. [`hint`](Self::hint) returns a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// A setting is invalid.
    #[error(transparent)]
    Setting(#[from] CoreError),
    /// Prompt and answer together exceed the model's maximum sequence length.
    #[error("{prompt} prompt tokens and gen_length {gen_length} exceed max_sequence_length {max_sequence_length}")]
    TooLong {
        /// The number of prompt tokens.
        prompt: usize,
        /// The number of answer tokens.
        gen_length: usize,
        /// The model's limit, in tokens.
        max_sequence_length: usize,
    },
    /// Prompt and scored answer together exceed the model's maximum sequence length.
    #[error("{prompt} prompt tokens and {answer} answer tokens exceed max_sequence_length {max_sequence_length}")]
    ScoredTooLong {
        /// The number of prompt tokens.
        prompt: usize,
        /// The number of answer tokens.
        answer: usize,
        /// The model's limit, in tokens.
        max_sequence_length: usize,
    },
    /// The prompt has no mask, and no answer is requested.
    #[error("gen_length is 0 and the prompt holds no mask")]
    NothingToDo,
    /// A prompt, or a text to score, has an id that is not a token of the model.
    #[error("id {id} at position {position} is no token of the model, whose ids are below {limit}")]
    UnknownId {
        /// The id.
        id: u32,
        /// The position in the prompt.
        position: usize,
        /// The id after the last token.
        limit: u32,
    },
    /// There is no method of this name.
    #[error("unknown {what} {name:?}")]
    Unknown {
        /// The kind of what is named: `algorithm`, `preset`, `decoder`, `cache` or `length`.
        what: &'static str,
        /// The name.
        name: String,
        /// The names of all methods of the kind.
        known: &'static [&'static str],
    },
    /// A preset is for LLaDA's sampler; a published sampler has settings of its own.
    #[error("preset {preset} does not go with algorithm {algorithm}")]
    PresetOfAlgorithm {
        /// The preset.
        preset: String,
        /// The published sampler.
        algorithm: String,
    },
    /// The chosen method does not have this option.
    #[error("{kind} {method} has no option {option}")]
    NotAnOption {
        /// The kind of method: `decoder`, `cache` or `length`.
        kind: &'static str,
        /// The name of the method.
        method: String,
        /// The name of the option.
        option: String,
        /// The names of the methods that have the option.
        methods: Vec<String>,
    },
    /// There is no option of this name.
    #[error("unknown field `{option}`")]
    UnknownOption {
        /// The name of the option.
        option: String,
    },
    /// The value of an option has the wrong type.
    #[error("{option}: {source}")]
    Option {
        /// The name of the option.
        option: String,
        /// The error of its value.
        source: serde_json::Error,
    },
    /// A text is no filter of the decoder Learn2PD.
    #[error("not a filter: {0}")]
    Filter(serde_json::Error),
    /// The budget has fewer forwards than the answer has blocks.
    #[error("max_nfe {max_nfe} is less than the {blocks} blocks, each of which needs a forward")]
    Budget {
        /// The largest number of forwards.
        max_nfe: usize,
        /// The number of blocks.
        blocks: usize,
    },
    /// An option is incompatible with DAEDAL.
    #[error("length daedal does not go with {with}")]
    Daedal {
        /// The option and its value.
        with: String,
        /// A compatible setting.
        hint: Hint,
    },
    /// A suffix window has nothing to hide, because no block sees what follows it.
    #[error("suffix_window {suffix_window} does not go with {with}, under which nothing sees the suffix")]
    SuffixWindow {
        /// The number of masks in the window.
        suffix_window: usize,
        /// The cache, or the kind of model.
        with: String,
    },
    /// An option acts on a suffix window, and there is none.
    #[error("{option} acts on a suffix_window, and none is set")]
    NoSuffixWindow {
        /// The name of the option.
        option: &'static str,
    },
    /// Under this option every block starts with a full forward, because its rows change from block to block.
    #[error(
        "refresh_drift {refresh_drift} does not go with {with}, under which every block starts with a full forward"
    )]
    Drift {
        /// The limit.
        refresh_drift: f32,
        /// The option and its value.
        with: String,
    },
    /// With this method no states can be drafted.
    #[error("draft_length does not go with {with}")]
    Speculation {
        /// The option and its value.
        with: String,
        /// A compatible setting.
        hint: Hint,
    },
    /// Under `reference_compat` and at a temperature above 0, `confidence_eos_eot_inf` has no token to apply to.
    #[error(
        "confidence_eos_eot_inf as the reference has it acts above temperature 0 on end-of-turn alone, and no such token is known"
    )]
    NothingDeferred,
    /// No answer of the requested length satisfies the constraint.
    #[error("the shortest valid answer has {shortest} tokens, gen_length is {gen_length}")]
    AnswerTooShort {
        /// The number of tokens of the shortest valid answer.
        shortest: usize,
        /// The number of answer tokens, or its upper bound.
        gen_length: usize,
    },
    /// No string of exactly the length of the answer or of the run of masks satisfies the constraint.
    #[error("no valid text has exactly the {masks} tokens from position {position} on")]
    Unsatisfiable {
        /// The first position of the answer or of the run of masks.
        position: usize,
        /// The number of its positions.
        masks: usize,
        /// The number of tokens of the shortest valid text, if there is any.
        shortest: Option<usize>,
    },
    /// There are more constraints than runs of masks in the prompt.
    #[error("there are {constraints} constraints for the {holes} runs of masks in the prompt")]
    Holes {
        /// The number of constraints.
        constraints: usize,
        /// The number of runs of masks.
        holes: usize,
    },
    /// The constraint emits a token that no text has.
    #[error("the constraint emits the id {token}, which is banned, special, or no token of the model")]
    ConstraintToken {
        /// The id.
        token: u32,
    },
    /// The model's logits are infinite or NaN.
    #[error("the model's logits at position {position} are not finite")]
    NotFinite {
        /// The position in the sequence.
        position: usize,
    },
    /// A callback stopped the batch.
    #[error("interrupted")]
    Interrupted,
    /// The predictor failed.
    #[error(transparent)]
    Predict(Box<dyn std::error::Error + Send + Sync>),
}

impl InferError {
    /// Returns a remedy for the error, if one is known.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Setting(error) => error.hint(),
            Self::TooLong { prompt, max_sequence_length, .. } => Some(match max_sequence_length.checked_sub(*prompt) {
                Some(room @ 1..) => Hint::set_with("gen_length", room, " is the most that fits"),
                _ => Hint::Advice("shorten the prompt".to_owned()),
            }),
            Self::ScoredTooLong { .. } => Some(Hint::Advice("shorten the prompt or the answer".to_owned())),
            Self::NothingToDo => Some(Hint::set("gen_length", [128])),
            Self::PresetOfAlgorithm { .. } => Some(Hint::Advice("leave one of them out".to_owned())),
            Self::Unknown { known, .. } => Some(Hint::one_of(known)),
            Self::NotAnOption { kind, methods, .. } => Some(Hint::set(kind, methods)),
            Self::Budget { blocks, .. } => Some(Hint::set_with("max_nfe", blocks, ", or longer blocks")),
            Self::Daedal { hint, .. } | Self::Speculation { hint, .. } => Some(hint.clone()),
            Self::SuffixWindow { .. } => Some(Hint::Advice("leave suffix_window out".to_owned())),
            Self::Drift { .. } => Some(Hint::Advice("leave refresh_drift out".to_owned())),
            Self::NoSuffixWindow { .. } => Some(Hint::set("suffix_window", [96])),
            Self::NothingDeferred => {
                Some(Hint::set_with("temperature", 0, ", or neither reference_compat nor an algorithm that implies it"))
            }
            Self::AnswerTooShort { shortest, .. } => Some(Hint::set_with("gen_length", shortest, " or more")),
            Self::Unsatisfiable { shortest: Some(shortest), .. } => {
                Some(Hint::Advice(format!("the shortest valid text has {shortest} tokens")))
            }
            Self::Unsatisfiable { shortest: None, .. } => Some(Hint::Advice("no text at all satisfies it".to_owned())),
            Self::Holes { .. } => Some(Hint::Advice("give one for each run, in their order".to_owned())),
            Self::ConstraintToken { .. } => {
                Some(Hint::Advice("build the constraint over the vocabulary of this model".to_owned()))
            }
            Self::NotFinite { .. } => Some(Hint::Advice("check the model's weights".to_owned())),
            Self::Filter(_) => Some(Hint::Advice("train it anew from answers of the model".to_owned())),
            Self::UnknownId { .. }
            | Self::UnknownOption { .. }
            | Self::Option { .. }
            | Self::Interrupted
            | Self::Predict(_) => None,
        }
    }

    /// Creates the error for a name that no `K` has.
    pub(crate) fn unknown<K: VariantNames>(what: &'static str, name: &str) -> Self {
        Self::Unknown { what, name: name.to_owned(), known: K::VARIANTS }
    }

    pub(crate) fn predict(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Predict(Box::new(error))
    }
}

/// Refuses a setting that is negative, infinite or NaN.
pub(crate) fn check_non_negative(name: &'static str, found: impl Into<f64>) -> Result<(), InferError> {
    let found = found.into();
    if found.is_finite() && found >= 0.0 {
        Ok(())
    } else {
        Err(CoreError::OutOfRange { name, found, lowest: 0.0, highest: f64::INFINITY }.into())
    }
}

/// Refuses a number that is not between 0 and 1, both excluded.
pub(crate) fn check_fraction(name: &'static str, found: f32) -> Result<(), InferError> {
    if found > 0.0 && found < 1.0 {
        Ok(())
    } else {
        Err(CoreError::OutOfRange { name, found: found.into(), lowest: 0.0, highest: 1.0 }.into())
    }
}

/// Refuses a number that is not in a range, both ends included.
pub(crate) fn check_range(name: &'static str, found: f32, [lowest, highest]: [f32; 2]) -> Result<(), InferError> {
    if (lowest..=highest).contains(&found) {
        Ok(())
    } else {
        let [found, lowest, highest] = [found, lowest, highest].map(f64::from);
        Err(CoreError::OutOfRange { name, found, lowest, highest }.into())
    }
}

/// Refuses a count that is zero.
pub(crate) fn check_positive(name: &'static str, found: usize) -> Result<(), InferError> {
    if found == 0 { Err(CoreError::Zero { name }.into()) } else { Ok(()) }
}
