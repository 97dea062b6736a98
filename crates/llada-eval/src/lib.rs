//! Benchmarks of language models, asked and scored as
//! [lm-evaluation-harness](https://github.com/EleutherAI/lm-evaluation-harness) does, without a model and without a
//! network: a record of a dataset goes in, a question comes out; what a model made of it goes in, marks come out.
//!
//! There are two kinds of questions. A [`Choice`] is answered by the likeliest of its options; a [`Generation`] in
//! words, out of which the task's rule reads an answer. Code is written to be run elsewhere: nothing is executed here.
//!
//! | subject | module |
//! |---|---|
//! | records out of JSON, parquet and CSV | `read`, `record` |
//! | what a task is; the tasks, one file each | `task`, `tasks` |
//! | the two kinds of questions | `question` |
//! | examples before a question | `shots` |
//! | metrics of multiple choice; means and intervals | `choice`, `summary` |
//! | published settings and figures | `preset` |
#![forbid(unsafe_code)]

mod choice;
mod error;
mod preset;
mod question;
mod read;
mod record;
mod shots;
mod summary;
mod task;
mod tasks;
mod text;

pub use choice::ChoiceMetric;
pub use error::EvalError;
pub use preset::{Figures, Preset, Sampling, published};
pub use question::{Answer, Choice, Generation, Judgement, Marks, Question, Style};
pub use read::read;
pub use record::Record;
pub use shots::{Order, Shots};
pub use summary::{Figure, Summary};
pub use task::{Kind, Task, by_name};
pub use tasks::TASKS;

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
