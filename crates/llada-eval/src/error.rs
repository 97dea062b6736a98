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
    /// A file begins like gzip and is cut off or damaged.
    #[error("{}: not a gzip file that can be read; hint: fetch it again", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// The decompressor's complaint.
        source: std::io::Error,
    },
    /// A file is UTF-16.
    #[error("{}: UTF-16, where UTF-8 is expected; hint: iconv -f UTF-16 -t UTF-8 FILE", path.display())]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
    /// A file whose name ends as that of CSV is something else.
    #[error("{}: not a table that can be read: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The reader's complaint, which names the row.
        source: csv::Error,
    },
    /// A table has two columns of one name.
    #[error("{}: two columns are called {column}; hint: rename one", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// Their name.
        column: String,
    },
    /// A record is no JSON object.
    #[error(
        "{}:{row}: not a JSON object; records are JSON (JSONL, objects, an array of objects), parquet, or CSV in a file \
         whose name ends in .csv",
        path.display()
    )]
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
        /// The columns that hold something.
        known: String,
    },
    /// A column of parquet holds neither texts nor numbers.
    #[error("{}, row {row}: column {column} is of type {kind}, which is no text; hint: write it as text", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: usize,
        /// The column.
        column: String,
        /// Its type, as parquet calls it.
        kind: String,
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
