//! The one error of this crate: that of whichever part failed, or what the checkpoint lacks.

use std::path::PathBuf;

use llada_core::Hint;
use llada_grammar::GrammarError;
use llada_hub::HubError;
use llada_infer::InferError;
use llada_model::ModelError;

/// What can go wrong between the name of a model and an answer of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model was not found.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A file of the checkpoint cannot be worked with, the device is not there, or a text cannot be encoded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A request is impossible, or the network failed on it.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// A pattern or a vocabulary is refused.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The checkpoint has no tokenizer, and was asked to work on text.
    #[error("{} has no tokenizer.json", folder.display())]
    NoTokenizer {
        /// The checkpoint's folder.
        folder: PathBuf,
    },
    /// The checkpoint is an autoregressive baseline, and was asked to predict masks.
    #[error("{} is autoregressive: it predicts no masks", folder.display())]
    Autoregressive {
        /// The checkpoint's folder.
        folder: PathBuf,
    },
    /// A question has nothing to choose from.
    #[error("a question has at least 2 options, not {count}")]
    FewOptions {
        /// The number of its options.
        count: usize,
    },
    /// Two options of a question are the same answer.
    #[error("the option {option:?} is the same answer as another one")]
    SameOption {
        /// The later one of the two.
        option: String,
    },
}

impl Error {
    /// What would help.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Infer(error) => error.hint(),
            Self::Grammar(error) => error.hint(),
            Self::NoTokenizer { .. } => Some(Hint::Advice("without one it takes ids alone".to_owned())),
            Self::Hub(_)
            | Self::Model(_)
            | Self::Read { .. }
            | Self::Autoregressive { .. }
            | Self::FewOptions { .. }
            | Self::SameOption { .. } => None,
        }
    }
}
