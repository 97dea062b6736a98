//! Where LLaDA checkpoints, and datasets, lie in the Hugging Face cache, which is shared with Python's `huggingface_hub`.
//!
//! Nothing here uses the network: `cargo xtask fetch-weights` downloads, `llada --model OWNER/NAME` only looks.
//!
//! | subject | module |
//! |---|---|
//! | names of models | `model` |
//! | which folder the cache is, who asks, and whom | `environment`, `expand` |
//! | the layout of the cache | `cache` |
//! | from what was typed to a folder with a checkpoint, or a file of a dataset | `resolve` |
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
