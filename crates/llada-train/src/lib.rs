//! Training of LLaDA (arXiv 2502.09992): pre-training, supervised fine-tuning, and the autoregressive baseline.
//!
//! ```text
//! text ─► tokenizer ─► data ─► Sampler ─► Objective ─► TrainableLlada ─► Optimizer
//!                                          RunConfig ─► Run ─► checkpoints/, metrics.jsonl, tensorboard/, loss.svg, model/
//! ```
//!
//! [`run::Run`] is all of it. What it does at a step is a function of the seed and the step: so a run that was stopped,
//! or killed, goes on from its last checkpoint bit for bit as if it had not been.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod checkpoint;
pub mod config;
mod curve;
pub mod data;
mod digest;
mod error;
mod folder;
pub mod lr;
mod mark;
pub mod metrics;
pub mod objective;
pub mod optimizer;
pub mod run;
mod tensorboard;
pub mod tokenizer;
pub mod validate;

pub use error::TrainError;
