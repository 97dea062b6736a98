//! LLaDA checkpoints, opened in one call.
//!
//! A [`Model`] is a checkpoint ready for work: its network, its tokenizer, its chat template, and an engine that knows
//! which ids it may emit and where answers end.
//!
//! ```
//! use llada::{Message, Model, SamplerConfig};
//!
//! let mut model = Model::open("models/llada-tiny")?;
//! let config = SamplerConfig { gen_length: 32, ..Default::default() };
//! let answer = model.chat(&[Message::new("user", "What is 345 + 78?")], &config)?;
//! assert_eq!(answer.text, "423");
//! # Ok::<(), llada::Error>(())
//! ```
//!
//! | to | call |
//! |---|---|
//! | answer a conversation | [`Model::chat`] |
//! | continue a text | [`Model::complete`] |
//! | fill the masks of a text | [`Model::infill`] |
//! | estimate the likelihood of an answer | [`Model::score`] |
//! | constrain an answer to a pattern | [`Model::compile`], [`Request::with_constraint`] |
//! | watch an answer come about, and stop when it is good enough | [`Model::steps`] |
//! | work on token ids, or on many requests at once | [`Model::engine_mut`] |
//!
//! What these take and give is re-exported here, so that this crate is all that a program depends on.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The Rust code of the workspace's README is a test too. It runs in this package's folder, from which `models` leads
/// to the models of the workspace.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct WorkspaceReadme;

/// And so is that of the book.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/rust.md")]
struct Book;

mod answer;
mod checkpoint;
mod decision;
mod error;
mod grammars;
mod model;
mod options;
mod steps;
mod stop;

pub use answer::{Answer, Ends, FinishReason};
pub use checkpoint::{default_algorithm, default_precision};
pub use decision::{Decision, OptionProbability, Question, QuestionKind, QuestionOption, ScoreLevel, Verdict};
pub use error::Error;
pub use model::Model;
pub use options::OpenOptions;
pub use steps::{Step, Steps, Update};
pub use stop::{Stops, cut_at_stop};

pub use llada_core::{
    Hint,
    automaton::TokenDfa,
    confidence::Remasking,
    trace::{Commit, TokenLogprobs, Trace, TraceStep},
};
pub use llada_grammar::{GrammarError, Grammars, Json, JsonOptions, Pattern, Whitespace};
pub use llada_hub::HubError;
pub use llada_infer::{
    Algorithm, Cache, CacheConfig, CacheKind, Decoder, DecoderConfig, DecoderKind, Engine, Estimator, Event,
    Expectation, Generation, Growth, InferError, Job, JobId, LengthConfig, LengthKind, OptionDistribution, Preset,
    Progress, Request, SamplerConfig, Score, ScoreConfig, ScoreRequest, SpecialTokens, Stop,
};
pub use llada_model::{Device, Dtype, Family, Message, ModelError, Precision, Tokenizer, Transformer, set_threads};
