//! Benchmarks of language models with the prompts and metrics of
//! [lm-evaluation-harness](https://github.com/EleutherAI/lm-evaluation-harness).
//!
//! The crate uses neither a model nor a network. It turns the records of a dataset into questions, and the answers of a
//! model into metrics.
//!
//! There are two kinds of questions. The answer to a [`Choice`] is the most probable of its options. The answer to a
//! [`FreeFormQuestion`] is text, from which the benchmark extracts an answer. Nothing is executed: generated code is for a
//! sandbox.
//!
//! | subject | modules |
//! |---|---|
//! | records from JSON, parquet and CSV | `read`, `record` |
//! | benchmarks, one file each | `benchmark`, `benchmarks` |
//! | the two kinds of questions | `question` |
//! | few-shot examples | `shots` |
//! | metrics of multiple choice; means and confidence intervals | `choice`, `summary` |
//! | whether probabilities are what they say | `calibration` |
//! | published settings and results | `published` |
#![forbid(unsafe_code)]

mod benchmark;
mod benchmarks;
mod calibration;
mod choice;
mod error;
mod published;
mod question;
mod read;
mod record;
mod shots;
mod summary;
mod text;

pub use benchmark::{Benchmark, TaskKind};
pub use benchmarks::BENCHMARKS;
pub use calibration::{CALIBRATION_BINS, Calibration, CalibrationFigures};
pub use choice::ChoiceMetric;
pub use error::EvalError;
pub use published::{Published, PublishedModel, PublishedResult, Sampling};
pub use question::{AnswerOption, Choice, FreeFormQuestion, Judgement, Marks, Question, Style};
pub use read::read;
pub use record::Record;
pub use shots::{Order, Shots};
pub use summary::{Figure, Summary};

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
