//! The error type of this crate.

use std::path::{Path, PathBuf};

use llada_core::Hint;

use crate::{Device, ExchangeError, atomic::WriteError};

/// A file, a device or a batch that is refused, or an operation that fails. [`hint`](Self::hint) returns a remedy.
///
/// The message names the file, key, tensor, id or shape at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file cannot be opened, read or mapped.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The path of the file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The content of a file or folder is invalid.
    #[error("{}: {message}", path.display())]
    File {
        /// The path of the file or folder.
        path: PathBuf,
        /// The reason.
        message: String,
        /// A remedy, if one is known.
        hint: Option<Hint>,
    },
    /// A file is a git-lfs pointer that was not replaced by the file it stands for.
    #[error("{}: a git-lfs pointer, not the file that it stands for", path.display())]
    Pointer {
        /// The path of the file.
        path: PathBuf,
    },
    /// A key of `config.json` has a value that is invalid or not supported.
    #[error("config.json: {key}: {message}")]
    Config {
        /// The name of the key.
        key: String,
        /// The reason.
        message: String,
        /// A remedy, if one is known.
        hint: Option<Hint>,
    },
    /// The architecture of the checkpoint is not supported.
    #[error("config.json: the architecture is {found}, which is not read")]
    Architecture {
        /// The name of the architecture.
        found: String,
        /// The names of the supported architectures.
        read: String,
    },
    /// The folder holds a PEFT adapter, which changes a model, instead of a model.
    #[error("{}: a PEFT adapter to {base}, not a model", folder.display())]
    Adapter {
        /// The folder.
        folder: PathBuf,
        /// The name of the model that the adapter changes.
        base: String,
    },
    /// A setting of an adapter has a value that is invalid, not supported, or does not fit the model.
    #[error("adapter: {key}: {message}")]
    Lora {
        /// The name of the key.
        key: String,
        /// The reason.
        message: String,
    },
    /// A GGUF file is invalid, or holds something that is not read.
    #[error(transparent)]
    Gguf(#[from] llada_gguf::GgufError),
    /// The settings of a conversion do not fit the model or each other.
    #[error("{message}")]
    Conversion {
        /// The reason.
        message: String,
        /// A remedy, if one is known.
        hint: Option<Hint>,
    },
    /// The tensors of a checkpoint are divided among the files of several processes.
    #[error("{}: its tensors are in slices of several processes", folder.display())]
    Sliced {
        /// The folder.
        folder: PathBuf,
    },
    /// The checkpoint lacks a tensor that its config calls for.
    #[error("{}: tensor {name} is missing", folder.display())]
    MissingTensor {
        /// The full name of the tensor.
        name: String,
        /// The folder of the checkpoint.
        folder: PathBuf,
    },
    /// The checkpoint holds tensors that its config does not call for.
    #[error("{}: unexpected tensor {name}{}", file.display(), and_more(*others))]
    UnexpectedTensor {
        /// The full name of the first such tensor.
        name: String,
        /// The file that holds it.
        file: PathBuf,
        /// The number of other unexpected tensors.
        others: usize,
    },
    /// A tensor does not have the shape that the config calls for.
    #[error("{}: tensor {name} has shape {found:?}, config.json calls for {expected:?}", file.display())]
    Shape {
        /// The full name of the tensor.
        name: String,
        /// The file that holds it.
        file: PathBuf,
        /// The shape that the config calls for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is stored in a dtype other than f32 or bf16.
    #[error("{}: tensor {name} is stored as {dtype}, only F32 and BF16 are read", file.display())]
    StoredDtype {
        /// The full name of the tensor.
        name: String,
        /// The file that holds it.
        file: PathBuf,
        /// The dtype, as safetensors names it.
        dtype: String,
    },
    /// A tensor is stored in int8, although it is not the weight of a linear layer or the config does not say that the
    /// checkpoint is quantised.
    #[error("{}: tensor {name} is stored in int8, which only linear layers of a quantised checkpoint are", file.display())]
    StoredInt8 {
        /// The full name of the tensor.
        name: String,
        /// The file that holds it.
        file: PathBuf,
    },
    /// There is no dtype of this name.
    #[error("unknown dtype {name:?}")]
    UnknownDtype {
        /// The name.
        name: String,
    },
    /// There is no device of this name.
    #[error("device {name}: not a device's name")]
    UnknownDevice {
        /// The name.
        name: String,
    },
    /// A CUDA device is requested, but libtorch was built without CUDA.
    #[error("device {device}: libtorch is a CPU build")]
    CpuBuild {
        /// The requested device.
        device: Device,
    },
    /// A CUDA device is requested, but libtorch finds none.
    #[error("device {device}: {reason}")]
    NoCudaDevice {
        /// The requested device.
        device: Device,
        /// The reason, in libtorch's words.
        reason: String,
    },
    /// The machine has fewer CUDA devices than the index of the requested one implies.
    #[error("device {device}: this machine has {count} CUDA device(s)")]
    TooFewDevices {
        /// The requested device.
        device: Device,
        /// The number of CUDA devices that libtorch finds, at least 1.
        count: i64,
    },
    /// A token id is outside the vocabulary.
    #[error("token id {id} at position {position} is out of range: the vocabulary has {vocab_size} ids")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// The position in its row.
        position: usize,
        /// The number of valid ids.
        vocab_size: usize,
    },
    /// A row is longer than the maximum sequence length of the model.
    #[error("the sequence has {length} tokens, max_sequence_length is {max_sequence_length}")]
    TooLong {
        /// The number of tokens in the row.
        length: usize,
        /// The limit of the config, in tokens.
        max_sequence_length: usize,
    },
    /// A row of a batch is empty, inconsistent, or requires something that the model does not support.
    #[error("row {row} of the batch: {message}")]
    Row {
        /// The index of the row in the batch.
        row: usize,
        /// The reason.
        message: String,
    },
    /// The parts of a training batch do not fit together.
    #[error("training batch: {message}")]
    Batch {
        /// The reason.
        message: String,
    },
    /// The tokenizer has no usable chat template. Plain texts and ids are unaffected.
    #[error("{message}")]
    NoChat {
        /// The reason, which names the file.
        message: String,
    },
    /// A third-party library panicked on the content of a file.
    #[error("{what} cannot be worked with: {message}")]
    Panicked {
        /// The file, or the object that was built from it.
        what: String,
        /// The message of the panic.
        message: String,
    },
    /// A conversation cannot be rendered by the chat template.
    #[error("chat template: {0}")]
    Template(#[from] minijinja::Error),
    /// A text cannot be encoded, or ids cannot be decoded.
    #[error("tokenizer: {0}")]
    Tokenizer(tokenizers::Error),
    /// Another process that trains the same model could not be reached.
    #[error("another process cannot be reached: {0}")]
    Exchange(#[source] ExchangeError),
    /// An operation of libtorch failed.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

impl ModelError {
    /// Returns a remedy for the error, if one is known.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::File { hint, .. } | Self::Config { hint, .. } | Self::Conversion { hint, .. } => hint.clone(),
            Self::Gguf(error) => error.hint(),
            Self::Write { .. } => Some(advice("is the disk full, or the folder read-only?")),
            Self::Pointer { .. } => Some(advice("git lfs pull in its folder, or download the file again")),
            Self::Architecture { read, .. } => Some(advice(format!("architectures that are read: {read}"))),
            Self::Adapter { folder, base } => {
                Some(advice(format!("open {base} as the model, and {} as its adapter", folder.display())))
            }
            Self::Sliced { .. } => Some(advice("merge the checkpoint that they are of")),
            Self::StoredInt8 { .. } => {
                Some(advice("quantise the checkpoint with this crate, which writes the config too"))
            }
            Self::UnknownDtype { .. } => Some(Hint::set("dtype", ["f32", "bf16"])),
            Self::UnknownDevice { .. } => Some(Hint::set("device", ["cpu", "cuda:0"])),
            Self::CpuBuild { .. } => Some(Hint::set_with("device", "cpu", ", or a libtorch with CUDA")),
            Self::NoCudaDevice { .. } => Some(Hint::set("device", ["cpu"])),
            Self::TooFewDevices { .. } => Some(Hint::set("device", ["cuda:0"])),
            Self::TooLong { .. } => Some(advice("shorten the sequence")),
            _ => None,
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn file(path: &Path, message: impl ToString) -> Self {
        Self::File { path: path.to_owned(), message: message.to_string(), hint: None }
    }

    /// Creates the error for the file or folder at `path`, with advice in words.
    pub(crate) fn file_with_advice(path: &Path, message: impl ToString, words: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), message: message.to_string(), hint: Some(advice(words)) }
    }

    pub(crate) fn config(key: &str, message: impl Into<String>) -> Self {
        Self::Config { key: key.to_owned(), message: message.into(), hint: None }
    }

    pub(crate) fn lora(key: &str, message: impl Into<String>) -> Self {
        Self::Lora { key: key.to_owned(), message: message.into() }
    }

    /// Creates the error for a key of `config.json`, with advice in words.
    pub(crate) fn config_with_advice(key: &str, message: impl Into<String>, words: impl Into<String>) -> Self {
        Self::Config { key: key.to_owned(), message: message.into(), hint: Some(advice(words)) }
    }
}

impl From<WriteError> for ModelError {
    fn from(WriteError { path, source }: WriteError) -> Self {
        Self::Write { path, source }
    }
}

fn advice(words: impl Into<String>) -> Hint {
    Hint::Advice(words.into())
}

fn and_more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}
