//! The one error of this crate: what is wrong with the data, down to file, row and column.

use std::path::PathBuf;

/// What keeps records from becoming questions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Something does not have the length it should.
    #[error(transparent)]
    Length(#[from] llada_core::CoreError),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file begins like parquet and is cut off, damaged, or compressed in a way that is not known here.
    #[error("{}: not a parquet file that can be read: {source}; hint: fetch it again, or convert it to JSONL", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The reader's complaint.
        source: parquet::errors::ParquetError,
    },
    /// A record is no JSON object.
    #[error("{}:{row}: not a JSON object; records are JSONL, an array of objects, or parquet", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, or the place in the array, from 1.
        row: usize,
        /// The parser's complaint.
        source: serde_json::Error,
    },
    /// A file without a record.
    #[error("{} holds no records", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A record lacks a column.
    #[error(
        "{}, row {row}: no column {column}, but {known}; hint: llada eval TASK --help names the columns of a task",
        path.display()
    )]
    Column {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: usize,
        /// The column, a dot before a field of a structure.
        column: String,
        /// The columns that there are.
        known: String,
    },
    /// A value is not what its column holds.
    #[error("{}, row {row}, column {column}: {found} is not {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: usize,
        /// The column.
        column: String,
        /// The value, shortened.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// Examples are asked for where no record holds a worked answer.
    #[error("the records of {task} hold no worked answers, so there are no shots; hint: --num-fewshot 0")]
    NoShots {
        /// The task.
        task: &'static str,
    },
    /// Fewer examples than shots.
    #[error(
        "{wanted} shots are asked for, and the few-shot data have {found} for this question; hint: --num-fewshot {found}"
    )]
    Shots {
        /// Shots asked for.
        wanted: usize,
        /// Shots that the question could have.
        found: usize,
    },
}
