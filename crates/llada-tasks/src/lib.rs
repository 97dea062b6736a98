//! Tasks whose answers a program can check, generated from a seed: what a small language model learns from, and what
//! it is measured by.
//!
//! An [`Example`] is a pure function of the seed, the [`Task`], the [`Split`] and an index. What is held out is decided
//! by the content of a question, never by its wording, its index or the seed: so training and held-out examples are
//! disjoint whatever seeds they come from.
//!
//! ```
//! use llada_core::rng::Noise;
//! use llada_tasks::{Split, by_name};
//!
//! let example = by_name("addition")?.generate(Split::HeldOut, 4, Noise::new(0));
//! assert!(example.check(&example.answer));
//! assert!(!example.check("a lot"));
//! # Ok::<(), llada_tasks::TaskError>(())
//! ```
//!
//! | subject | module |
//! |---|---|
//! | the tasks, one file each | `tasks` |
//! | a question, its answer and its check | `example` |
//! | what is held out | `split` |
//! | exact match with its confidence interval | `evaluation` |
#![forbid(unsafe_code)]

mod error;
mod evaluation;
mod example;
mod pick;
mod split;
mod task;
mod tasks;
mod words;

pub use error::TaskError;
pub use evaluation::{Evaluation, Tally};
pub use example::{Conversation, Example, Message};
pub use split::Split;
pub use task::{Task, by_name, mixture};
pub use tasks::ALL;

/// Tokens of the canvas for an answer. The longest takes about 24 of a tokenizer that splits digits and has seen the
/// tasks; the end of the turn and some room follow.
pub const GEN_LENGTH: usize = 32;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
