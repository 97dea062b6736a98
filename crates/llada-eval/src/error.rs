//! The error type of this crate, which names file, row and column of invalid data.

use std::path::PathBuf;

use llada_core::Hint;

/// Data or settings that this crate refuses. [`hint`](Self::hint) returns a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A list does not have the expected length.
    #[error(transparent)]
    Length(#[from] llada_core::CoreError),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// A file starts like a parquet file but is truncated, damaged, or compressed with an unsupported codec.
    #[error("{}: not a parquet file that can be read: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The error of the parquet reader.
        source: parquet::errors::ParquetError,
    },
    /// A file starts like a gzip file but is truncated or damaged.
    #[error("{}: not a gzip file that can be read", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// The error of the decompressor.
        source: std::io::Error,
    },
    /// A file is encoded in UTF-16.
    #[error("{}: UTF-16, where UTF-8 is expected", path.display())]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
    /// A file with the name of a CSV file is not a table.
    #[error("{}: not a table that can be read: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The error of the CSV reader, which names the row.
        source: csv::Error,
    },
    /// A table has two columns with the same name.
    #[error("{}: two columns are called {column}", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The name of the columns.
        column: String,
    },
    /// A record is not a JSON object.
    #[error(
        "{}:{row}: not a JSON object; records are JSON (JSONL, objects, an array of objects), parquet, or CSV in a file \
         whose name ends in .csv",
        path.display()
    )]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, or the index in the array, counted from 1.
        row: usize,
        /// The error of the JSON parser.
        source: serde_json::Error,
    },
    /// A file has no records.
    #[error("{} holds no records", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A record lacks a column.
    #[error("{}, row {row}: no column {column}, but {known}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The row, counted from 1.
        row: usize,
        /// The column; a field of a structure follows a dot.
        column: String,
        /// The columns that have a value.
        known: String,
    },
    /// A parquet column has neither text nor numbers.
    #[error("{}, row {row}: column {column} is of type {kind}, which is no text", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The row, counted from 1.
        row: usize,
        /// The column.
        column: String,
        /// The name of its type in parquet.
        kind: String,
    },
    /// A column has an invalid value.
    #[error("{}, row {row}, column {column}: {found} is not {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The row, counted from 1.
        row: usize,
        /// The column.
        column: String,
        /// The value, shortened.
        found: String,
        /// The expected kind of value.
        expected: String,
    },
    /// Few-shot examples are requested for a benchmark whose records have no worked answers.
    #[error("the records of {task} hold no worked answers, so there are no shots")]
    NoShots {
        /// The name of the task.
        task: &'static str,
    },
    /// The few-shot data have fewer examples for a question than requested.
    #[error("{wanted} shots are asked for, and the few-shot data have {found} for this question")]
    Shots {
        /// The requested number of examples.
        wanted: usize,
        /// The number of examples that the question could have.
        found: usize,
    },
}

impl EvalError {
    /// Returns a remedy for the error, if one is known.
    pub fn hint(&self) -> Option<Hint> {
        let advice = match self {
            Self::Parquet { .. } => "fetch it again, or convert it to JSONL",
            Self::Gzip { .. } => "fetch it again",
            Self::Utf16 { .. } => "iconv -f UTF-16 -t UTF-8 FILE",
            Self::Twice { .. } => "rename one",
            Self::Column { .. } => "the description of a task names its columns",
            Self::Type { .. } => "write it as text",
            Self::NoShots { .. } => return Some(Hint::set("num_fewshot", [0])),
            Self::Shots { found, .. } => return Some(Hint::set("num_fewshot", [found])),
            Self::Length(error) => return error.hint(),
            Self::Io { .. } | Self::Csv { .. } | Self::Json { .. } | Self::Empty { .. } | Self::Value { .. } => {
                return None;
            }
        };
        Some(Hint::Advice(advice.to_owned()))
    }
}
