//! The Hugging Face cache, which is shared with Python's `huggingface_hub`: locations of LLaDA checkpoints and of datasets.
//!
//! The crate does not use the network. `cargo xtask fetch-weights` downloads checkpoints; a name of a model only finds those
//! that are in the cache.
//!
//! | subject | modules |
//! |---|---|
//! | names of models | `model` |
//! | environment variables: the cache, the hub, the token | `environment`, `expand` |
//! | the layout of the cache | `cache` |
//! | from a name to a folder with a checkpoint or to a file of a dataset | `resolve` |
#![forbid(unsafe_code)]

mod cache;
mod environment;
mod error;
mod expand;
mod model;
mod resolve;

pub use cache::{Cache, Repository};
pub use environment::Environment;
pub use error::HubError;
pub use model::{KNOWN, ModelId};
pub use resolve::{checkpoint, dataset_file, missing};

/// The README's example is a test.
#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct Readme;
