//! The error type of this crate.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use llada_core::Hint;
use llada_model::{ModelError, atomic::WriteError};

use crate::{config::Training, data::DatasetKind};

/// The error of this crate. What would help is apart from the message: [`hint`](Self::hint).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The model failed: its files, its device, its memory.
    #[error(transparent)]
    Model(ModelError),
    /// The numbers of a batch are impossible.
    #[error(transparent)]
    Core(#[from] llada_core::CoreError),
    /// A validation failed.
    #[error(transparent)]
    Infer(#[from] llada_infer::InferError),
    /// The processes of a run cannot reach each other any more.
    #[error(transparent)]
    Collective(Box<dyn Error + Send + Sync>),
    /// The processes of a run have not opened the same one.
    #[error("rank {rank} has opened another run than rank 0: {message}")]
    OtherRun {
        /// The first process that differs.
        rank: usize,
        /// In what.
        message: String,
    },
    /// Another process of a run has failed in what all do together.
    #[error("rank {rank}: {message}")]
    OtherRank {
        /// The first process that has failed.
        rank: usize,
        /// Its error.
        message: String,
        /// What would help, in words.
        hint: Option<String>,
    },
    /// The processes of a run do not share its folder.
    #[error("{}: rank {rank} does not see what another process has written there", path.display())]
    NotShared {
        /// The file or folder.
        path: PathBuf,
        /// The process that does not see it.
        rank: usize,
    },
    /// A checkpoint that is to be merged has no slices.
    #[error("{}: nothing in it is divided", folder.display())]
    NotDivided {
        /// The checkpoint.
        folder: PathBuf,
    },
    /// A file or folder could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file or folder could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not what its name promises.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A parquet file is cut off, damaged, or compressed by a method that is not known.
    #[error("{}: not a parquet file that can be read: {message}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        message: String,
    },
    /// The records of a file are of none of the known formats.
    #[error("{}: its records have {columns}, which is no known format", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The columns of its first record.
        columns: String,
    },
    /// A line of an input file cannot be used.
    #[error("{}: line {line}: {message}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
        /// What a line of the file should look like, if it looks otherwise.
        expected: Option<&'static str>,
    },
    /// A folder that is to be made is there already.
    #[error("{}: it exists already", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The files for a dataset hold no text.
    #[error("{}: there is no text in the input", out.display())]
    NoText {
        /// The dataset that they were for.
        out: PathBuf,
    },
    /// A shard is not the one that was prepared.
    #[error("{}: it is not what was prepared (SHA-256)", path.display())]
    DamagedShard {
        /// The shard.
        path: PathBuf,
    },
    /// A dataset is for another kind of training than the run.
    #[error("{}: it was prepared for another kind of training", folder.display())]
    OtherKind {
        /// The dataset.
        folder: PathBuf,
        /// What it is for.
        found: DatasetKind,
    },
    /// The datasets of a mixture were tokenised differently.
    #[error("data has end of text {found} in {}, and {expected} in {}", path.display(), first.display())]
    OtherEnd {
        /// The dataset that differs from the first.
        path: PathBuf,
        /// The token that ends its texts.
        found: u32,
        /// The first dataset.
        first: PathBuf,
        /// The token that ends its texts.
        expected: u32,
    },
    /// A folder that should hold a tokenizer holds none.
    #[error("{}: no tokenizer.json", folder.display())]
    NoTokenizer {
        /// The folder.
        folder: PathBuf,
    },
    /// The run's folder holds a checkpoint that was trained on another dataset.
    #[error("{}: it was trained on other data", checkpoint.display())]
    OtherData {
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// The run's folder holds a checkpoint of another model or adapter.
    #[error("{}: it is of another [model], [adapter], base_dtype or objective", checkpoint.display())]
    OtherModel {
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// A setting of the adapter that a run goes on with is another in its folder.
    #[error("adapter.{key} is {value}, and {found} in {}", folder.display())]
    OtherAdapter {
        /// The folder of the adapter.
        folder: PathBuf,
        /// The key.
        key: String,
        /// Its value in the run's settings.
        value: String,
        /// Its value in the folder.
        found: String,
    },
    /// A number that is computed ahead of the first step is missing, and the run has begun.
    #[error("{}: the numbers of item {item} are missing", path.display())]
    MissingNumbers {
        /// The file.
        path: PathBuf,
        /// The item of the data, counted from 0.
        item: usize,
    },
    /// Numbers that were computed ahead belong to another run.
    #[error("{}: it is of other data or settings", path.display())]
    OtherNumbers {
        /// The file.
        path: PathBuf,
    },
    /// A key of the run file is missing, unknown, or has a value that it cannot have.
    #[error("settings of the run: {message}")]
    Settings {
        /// Which, and why.
        message: String,
    },
    /// A key of the run file is for other kinds of training than the run's.
    #[error("{key} is given, and this kind of training does not read it")]
    OtherTraining {
        /// The key.
        key: &'static str,
        /// What it is for.
        readers: &'static [Training],
    },
    /// A setting cannot be honoured.
    #[error("{key} is {value}")]
    Config {
        /// The key of the run file.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would work.
        hint: Hint,
    },
    /// The model that a run starts from gives an answer no likelihood.
    #[error("the log-likelihood of an answer of pair {pair} is {value}")]
    NoLikelihood {
        /// The pair of the data, counted from 0.
        pair: usize,
        /// The log-likelihood.
        value: f64,
    },
    /// The loss or the gradient overflowed.
    #[error("{what} of step {step} is {value}")]
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
    /// What would help.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Model(error) => error.hint(),
            Self::Core(error) => error.hint(),
            Self::Infer(error) => error.hint(),
            Self::Config { hint, .. } => Some(hint.clone()),
            Self::OtherTraining { readers, .. } => {
                let names: Vec<&str> = readers.iter().map(|training| training.name()).collect();
                Some(advice(format!("it is for {}", names.join(", "))))
            }
            Self::Read { .. } => Some(advice("is it there, and may it be read?")),
            Self::Write { .. } => Some(advice("is the disk full, or the folder read-only?")),
            Self::Line { expected, .. } => expected.map(|expected| advice(format!("each line is {expected}"))),
            Self::Exists { .. } => Some(Hint::set_with("out", "FOLDER", " of another name, or remove this one")),
            Self::Parquet { .. } => Some(advice("fetch it again, or convert it to JSON lines")),
            Self::UnknownFormat { .. } => Some(advice(
                "rename the columns: messages, conversations, instruction and output, or prompt and completion",
            )),
            Self::NoText { .. } => Some(advice("is the format right?")),
            Self::DamagedShard { .. } => Some(advice("prepare the dataset again")),
            Self::OtherKind { found: DatasetKind::Pretrain, .. } => Some(advice("it is for pre-training")),
            Self::OtherKind { found: DatasetKind::Sft, .. } => Some(advice("it is for fine-tuning")),
            Self::OtherEnd { .. } => Some(advice("prepare them with one tokenizer")),
            Self::NoTokenizer { .. } => Some(advice("train a tokenizer, or take that of a checkpoint")),
            Self::OtherData { .. } => {
                Some(Hint::set_with("out", "FOLDER", " of another name, or the data of this run"))
            }
            Self::OtherModel { .. } | Self::OtherNumbers { .. } => {
                Some(Hint::set_with("out", "FOLDER", " of another name, or the settings of this run"))
            }
            Self::OtherAdapter { .. } => {
                Some(advice("leave it out: an adapter keeps its settings, but for lora_dropout"))
            }
            Self::MissingNumbers { .. } => Some(advice(
                "the run began with fewer steps or a smaller batch_size: go on with those, or with another out",
            )),
            Self::NoLikelihood { .. } => Some(advice("check the weights of init, or compute in dtype f32")),
            Self::NotFinite { .. } => {
                Some(advice("the last checkpoint is intact; lower schedule.lr and go on from it"))
            }
            Self::Collective(_) => {
                Some(advice("the last checkpoint is whole: start all processes again, and they go on from it"))
            }
            Self::OtherRun { .. } => Some(advice(
                "all processes need the same settings and data, and a folder out that they share, as on a network file system",
            )),
            Self::OtherRank { hint, .. } => hint.clone().map(Hint::Advice),
            Self::NotShared { .. } => {
                Some(advice("the folder out has to be on a file system that all processes share"))
            }
            Self::NotDivided { .. } => Some(advice("it is whole already")),
            Self::File { .. } | Self::Settings { .. } => None,
        }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn file(path: &Path, message: impl ToString) -> Self {
        Self::File { path: path.to_owned(), message: message.to_string() }
    }

    /// The error that `key` is `value`, with advice in words.
    pub(crate) fn config(key: &'static str, value: impl ToString, hint: impl Into<String>) -> Self {
        Self::Config { key, value: value.to_string(), hint: advice(hint) }
    }
}

impl From<WriteError> for TrainError {
    fn from(WriteError { path, source }: WriteError) -> Self {
        Self::Write { path, source }
    }
}

fn advice(words: impl Into<String>) -> Hint {
    Hint::Advice(words.into())
}

impl From<ModelError> for TrainError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Exchange(error) => Self::Collective(error),
            error => Self::Model(error),
        }
    }
}
