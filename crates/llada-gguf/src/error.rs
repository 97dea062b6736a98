//! The error type of this crate.

use std::path::PathBuf;

use llada_core::Hint;

use crate::GgmlType;

/// A file that cannot be read, or a key or tensor that is not what was asked for. [`hint`](Self::hint) returns a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The file cannot be opened or mapped.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The content of the file is invalid, or in a version that is not read.
    #[error("{}: {message}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        message: String,
    },
    /// A key of the metadata is missing, or its value is of another kind.
    #[error("{}: {key}: {message}", path.display())]
    Key {
        /// The path of the file.
        path: PathBuf,
        /// The name of the key.
        key: String,
        /// The reason.
        message: String,
    },
    /// The file is a part of a model, and other parts are not beside it.
    #[error("{}: part of a model in {count} files; missing: {}", path.display(), missing.join(", "))]
    MissingParts {
        /// The path of the file.
        path: PathBuf,
        /// The number of files that the model has.
        count: u64,
        /// The names of those that are missing.
        missing: Vec<String>,
    },
    /// A tensor is missing, or the file does not hold it as it says.
    #[error("{}: tensor {name}: {message}", path.display())]
    Tensor {
        /// The path of the file.
        path: PathBuf,
        /// The name of the tensor.
        name: String,
        /// The reason.
        message: String,
    },
    /// A tensor is stored in a type that is not read.
    #[error("{}: tensor {name} is stored as {dtype}, which is not read", path.display())]
    StoredType {
        /// The path of the file.
        path: PathBuf,
        /// The name of the tensor.
        name: String,
        /// The type, as ggml names or numbers it.
        dtype: String,
    },
}

impl GgufError {
    /// Returns a remedy for the error, if one is known.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::StoredType { .. } => {
                let read = GgmlType::ALL.map(|dtype| dtype.to_string()).join(", ");
                Some(Hint::Advice(format!("types that are read: {read}; fetch or quantise a file of these")))
            }
            Self::File { .. } => {
                let advice = "is it a GGUF file of version 2 or 3, little-endian and whole? else fetch it again";
                Some(Hint::Advice(advice.to_owned()))
            }
            Self::MissingParts { .. } => Some(Hint::Advice("put all of them into one folder".to_owned())),
            Self::Key { .. } => Some(Hint::Advice("convert the folder of safetensors that it was made of".to_owned())),
            _ => None,
        }
    }
}
