//! The error type of this crate.

use llada_core::Hint;

/// A request that this crate refuses. [`hint`](Self::hint) returns a remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// There is no task of this name.
    #[error("unknown task {name:?}")]
    Unknown {
        /// The name.
        name: String,
        /// The names of all tasks.
        known: Vec<&'static str>,
    },
}

impl TaskError {
    /// Returns a remedy for the error, if one is known.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Unknown { known, .. } => Some(Hint::one_of(known)),
        }
    }
}
