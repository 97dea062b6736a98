//! The one error type of the crate: it keeps its sources and names the file, key, step or record at fault.

use std::path::{Path, PathBuf};

/// What can go wrong between a text file and a trained model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The model: its files, its device, its memory.
    #[error(transparent)]
    Model(#[from] llada_model::ModelError),
    /// The numbers of a batch.
    #[error(transparent)]
    Core(#[from] llada_core::CoreError),
    /// A validation.
    #[error(transparent)]
    Infer(#[from] llada_infer::InferError),
    /// A file could not be read or written.
    #[error("{}: {source}\nhint: {hint}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
        /// What to look at.
        hint: &'static str,
    },
    /// A file is not what its name promises.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with a hint.
        message: String,
    },
    /// The keys of a run are not those that there are.
    #[error("settings of the run: {message}\nhint: llada pretrain --help lists all keys")]
    Settings {
        /// What is missing, unknown or of a wrong type.
        message: String,
    },
    /// A setting that cannot be honoured.
    #[error("{key} is {value}\nhint: {hint}")]
    Config {
        /// The key of the run file.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would work.
        hint: String,
    },
    /// The loss or the gradient overflowed.
    #[error(
        "{what} of step {step} is {value}\nhint: the last checkpoint is intact; lower schedule.lr and go on from it"
    )]
    NotFinite {
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// The step, counted from 1.
        step: u64,
        /// Its value.
        value: f64,
    },
}

impl TrainError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source, hint: "is it there, and may it be read?" }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source, hint: "is the disk full, or the folder read-only?" }
    }

    pub(crate) fn file(path: &Path, message: impl ToString) -> Self {
        Self::File { path: path.to_owned(), message: message.to_string() }
    }

    pub(crate) fn config(key: &'static str, value: impl ToString, hint: impl Into<String>) -> Self {
        Self::Config { key, value: value.to_string(), hint: hint.into() }
    }
}
