//! The one error of this crate.

/// What can be wrong with what is asked of this crate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// A name that no task has.
    #[error("unknown task {name:?}; hint: {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
}
