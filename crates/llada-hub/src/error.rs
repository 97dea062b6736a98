//! The error type of this crate.

use std::path::PathBuf;

use crate::{KNOWN, ModelId};

/// A name that is invalid, or a checkpoint or file that is not in the cache. [`hint`](Self::hint) returns a remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The text is not a valid name of a model on the hub.
    #[error("{typed:?} is not the name of a model")]
    Name {
        /// The text.
        typed: String,
    },
    /// The text is neither an existing folder nor a valid name of a model.
    #[error("there is no model {typed:?}: neither a folder nor a name")]
    NoModel {
        /// The text.
        typed: String,
    },
    /// There is no such folder, and the cache does not have the model of this name.
    #[error("there is no folder {typed}, and no model {model} in the cache {}", cache.display())]
    Absent {
        /// The text.
        typed: String,
        /// The model of this name.
        model: ModelId,
        /// The folder of the cache.
        cache: PathBuf,
    },
    /// The text does not name a file of a dataset.
    #[error("{typed:?} does not name a file of a dataset")]
    DatasetName {
        /// The text.
        typed: String,
    },
    /// The cache does not have the file of a dataset.
    #[error("there is no {file} of the dataset {dataset} in the cache {}", cache.display())]
    DatasetAbsent {
        /// The dataset.
        dataset: ModelId,
        /// The path of the file in the dataset.
        file: String,
        /// The folder of the cache.
        cache: PathBuf,
    },
    /// The cache has the model, but not all files that are needed to load it.
    #[error("{model} is in the cache without {}", missing.join(", "))]
    Incomplete {
        /// The model.
        model: ModelId,
        /// The missing files.
        missing: Vec<String>,
    },
}

impl HubError {
    /// Returns a remedy for the error, if one is known: names to use, or a command of a downloader.
    pub fn hint(&self) -> Option<String> {
        let known = KNOWN.map(|(short, _)| short).join(", ");
        Some(match self {
            Self::Name { .. } => format!("one of {known}, or OWNER/NAME"),
            Self::NoModel { .. } => format!("a folder with config.json, one of {known}, or OWNER/NAME"),
            Self::Absent { model, .. } | Self::Incomplete { model, .. } => format!("cargo xtask fetch-weights {model}"),
            Self::DatasetName { .. } => "OWNER/NAME/PATH, as in openai/gsm8k/main/test.parquet".to_owned(),
            Self::DatasetAbsent { dataset, file, .. } => format!("hf download --repo-type dataset {dataset} {file}"),
        })
    }
}
