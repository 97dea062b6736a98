//! Training of LLaDA (arXiv 2502.09992): pre-training, supervised fine-tuning, and the autoregressive baseline.
//!
//! ```text
//! text ─► tokenizer ─► data ─► BatchOrder ─► Objective ─► TrainableTransformer ─► Optimizer
//!                                            RunConfig ─► Run ─► checkpoints/, metrics.jsonl, tensorboard/, loss.svg, model/
//! ```
//!
//! [`run::Run`] is all of it. What it does at a step is a function of the seed and the step, so a run that was stopped
//! or killed goes on from its last checkpoint bit for bit as if nothing had happened.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod byte_order_mark;
pub mod checkpoint;
pub mod collective;
pub mod config;
mod curve;
pub mod data;
pub mod environment;
mod error;
mod ledger;
mod loss;
pub mod lr;
pub mod metrics;
pub mod objective;
pub mod optimizer;
pub mod preview;
mod recorder;
pub mod run;
mod start;
mod state;
mod tensorboard;
pub mod tokenizer;
pub mod validate;

pub use error::TrainError;
