//! Synthetic tasks for training and evaluating small language models. They are generated from a seed, and their answers can
//! be checked by a program.
//!
//! An [`Example`] is a pure function of the seed, the [`SyntheticTask`], the [`Split`] and an index. The content of a
//! question decides whether it is held out; its wording, its index and the seed do not. So training and held-out examples
//! are disjoint for all seeds.
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
pub use task::{SyntheticTask, by_name, mixture};
pub use tasks::ALL;

/// The number of tokens to generate for an answer. The longest answer takes about 24 tokens of a tokenizer that splits
/// digits and was trained on the tasks; the end-of-turn token and some padding follow it.
pub const GEN_LENGTH: usize = 32;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
