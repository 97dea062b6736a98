//! The one error type of the crate: it keeps its sources and names the file, key, tensor or id at fault.

use std::path::{Path, PathBuf};

/// What can go wrong between a folder on disk and logits in memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file could not be opened, read or mapped.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}\nhint: is the disk full, or the folder read-only?", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not what its name promises.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with a hint where there is one.
        message: String,
    },
    /// A key of `config.json` has a value that this crate cannot honour.
    #[error("config.json: {key}: {message}")]
    Config {
        /// The key at fault.
        key: String,
        /// Why it is refused.
        message: String,
    },
    /// The checkpoint is of another architecture.
    #[error("config.json: the architecture is {found}, which is not read\nhint: architectures that are read: {read}")]
    Architecture {
        /// Its name.
        found: String,
        /// Those that are read.
        read: String,
    },
    /// The folder holds what PEFT adds to a model, not a model.
    #[error(
        "{}: a PEFT adapter to {base}, not a model\nhint: in Python, load it with peft.AutoPeftModelForCausalLM, merge_and_unload(), and save_pretrained(folder)",
        folder.display()
    )]
    Adapter {
        /// The folder.
        folder: PathBuf,
        /// The model that it was made for.
        base: String,
    },
    /// The checkpoint lacks a tensor that the config calls for.
    #[error("{}: tensor {name} is missing", folder.display())]
    MissingTensor {
        /// Full name of the tensor.
        name: String,
        /// The checkpoint's folder.
        folder: PathBuf,
    },
    /// The checkpoint holds tensors that the config does not call for.
    #[error("{}: unexpected tensor {name}{}", file.display(), and_more(*others))]
    UnexpectedTensor {
        /// Full name of the first such tensor.
        name: String,
        /// The shard that holds it.
        file: PathBuf,
        /// How many more there are.
        others: usize,
    },
    /// A tensor's shape is not the one that the config calls for.
    #[error("{}: tensor {name} has shape {found:?}, config.json calls for {expected:?}", file.display())]
    Shape {
        /// Full name of the tensor.
        name: String,
        /// The shard that holds it.
        file: PathBuf,
        /// Shape after config.json.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is stored in a dtype other than f32 or bf16.
    #[error("{}: tensor {name} is stored as {dtype}, only F32 and BF16 are read", file.display())]
    StoredDtype {
        /// Full name of the tensor.
        name: String,
        /// The shard that holds it.
        file: PathBuf,
        /// The dtype as the file names it.
        dtype: String,
    },
    /// The device is not there, or not named as devices are.
    #[error("device {device}: {message}")]
    Device {
        /// What was asked for.
        device: String,
        /// Why it cannot be had, with a hint.
        message: String,
    },
    /// A tensor that is no weight of a linear layer is stored in eight bits, or config.json does not say that weights
    /// are.
    #[error("{}: tensor {name} is stored in int8, which only linear layers of a quantised checkpoint are\nhint: llada quantize makes such a checkpoint", file.display())]
    StoredInt8 {
        /// Full name of the tensor.
        name: String,
        /// The shard that holds it.
        file: PathBuf,
    },
    /// A token id lies outside the vocabulary.
    #[error("token id {id} at position {position} is out of range: the vocabulary has {vocab_size} ids")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// Where it stands in its row.
        position: usize,
        /// Number of valid ids.
        vocab_size: usize,
    },
    /// A row is longer than the model was made for.
    #[error(
        "the sequence has {length} tokens, max_sequence_length is {max_sequence_length}\nhint: shorten the prompt or lower --gen-length"
    )]
    TooLong {
        /// Tokens of the row, prompt and answer together.
        length: usize,
        /// The config's limit.
        max_sequence_length: usize,
    },
    /// A row of a batch is empty, or asks for logits of a position that it does not have.
    #[error("row {row} of the batch: {message}")]
    Row {
        /// Index of the row.
        row: usize,
        /// What is wrong with it.
        message: String,
    },
    /// A batch for training contradicts itself.
    #[error("training batch: {message}")]
    Batch {
        /// How.
        message: String,
    },
    /// There is no chat template for the tokenizer, or none that can be used; texts and ids are not concerned.
    #[error("{message}")]
    NoChat {
        /// Why, with the file at fault and a hint where there is one.
        message: String,
    },
    /// A library panicked on what a file holds.
    #[error("{what} cannot be worked with: {message}")]
    Panicked {
        /// The file, or what was made of it.
        what: String,
        /// What the library said.
        message: String,
    },
    /// A chat could not be rendered.
    #[error("chat template: {0}")]
    Template(#[from] minijinja::Error),
    /// Text could not be encoded or decoded.
    #[error("tokenizer: {0}")]
    Tokenizer(tokenizers::Error),
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

impl ModelError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn file(path: &Path, message: impl ToString) -> Self {
        Self::File { path: path.to_owned(), message: message.to_string() }
    }

    pub(crate) fn config(key: &str, message: impl Into<String>) -> Self {
        Self::Config { key: key.to_owned(), message: message.into() }
    }
}

fn and_more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}
