//! The one error of this crate.

use std::path::PathBuf;

use crate::ModelId;

/// What keeps a checkpoint from being found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A name that no model of the hub can have.
    #[error("{typed:?} is not the name of a model; hint: one of {known}, or OWNER/NAME")]
    Name {
        /// What was typed.
        typed: String,
        /// The short names there are.
        known: String,
    },
    /// There is no such folder, and no model can have such a name.
    #[error(
        "there is no model {typed:?}: neither a folder nor a name; hint: a folder with config.json, one of {known}, or OWNER/NAME"
    )]
    NoModel {
        /// What was typed.
        typed: String,
        /// The short names there are.
        known: String,
    },
    /// There is no such folder, and nothing of the model in the cache.
    #[error(
        "there is no folder {typed}, and no model {model} in the cache {}; hint: cargo xtask fetch-weights {model}",
        cache.display()
    )]
    Absent {
        /// What was typed.
        typed: String,
        /// The model it may mean.
        model: ModelId,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// A text that cannot mean a file of a dataset.
    #[error("{typed:?} does not name a file of a dataset; hint: OWNER/NAME/PATH, as in openai/gsm8k/main/test.parquet")]
    DatasetName {
        /// What was typed.
        typed: String,
    },
    /// The cache lacks a file of a dataset.
    #[error(
        "there is no {file} of the dataset {dataset} in the cache {}; hint: hf download --repo-type dataset {dataset} {file}",
        cache.display()
    )]
    DatasetAbsent {
        /// The dataset.
        dataset: ModelId,
        /// The file in it.
        file: String,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// The snapshot lacks files that loading it needs.
    #[error(
        "{model} is in the cache without {}; hint: cargo xtask fetch-weights {model}",
        missing.join(", ")
    )]
    Incomplete {
        /// The model.
        model: ModelId,
        /// The files that are not there.
        missing: Vec<String>,
    },
}
