//! Sampling, infilling and likelihood scoring for LLaDA (arXiv 2502.09992), over any
//! [`MaskPredictor`](llada_core::predictor::MaskPredictor).
//!
//! The crate uses no tensor library. It is written against the trait, so all of it is tested on a predictor whose
//! probabilities are known, and it builds in seconds.
//!
//! ```
//! use llada_core::tabular::TabularPredictor;
//! use llada_infer::{Engine, Request, SamplerConfig, SpecialTokens};
//!
//! // Over the tokens 0 and 1: the sequences 00, 01, 10, 11 with these probabilities.
//! let predictor = TabularPredictor::new(2, 2, vec![0.1, 0.2, 0.1, 0.6])?;
//! let mut engine = Engine::new(predictor, SpecialTokens { eos: 0, eot: None });
//! let config = SamplerConfig { gen_length: 2, ..Default::default() };
//! let answer = engine.generate(&Request::new([], config))?;
//! assert_eq!(answer.output, [1, 1]);
//! assert_eq!(answer.nfe, 2);
//! # Ok::<(), llada_infer::InferError>(())
//! ```

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod active;
mod algorithm;
mod autoregressive;
pub mod cache;
mod config;
mod constraint;
pub mod decoder;
mod divergence;
mod end_think;
mod engine;
mod error;
pub mod learn2pd;
pub mod length;
mod logits;
mod logprobs;
mod method;
mod option_map;
mod options;
mod prediction;
mod preset;
mod request;
mod score;
mod step;
mod truncation;
mod vocabulary;

pub use algorithm::Algorithm;
pub use autoregressive::Continuation;
pub use cache::{Cache, CacheConfig, CacheKind};
pub use config::SamplerConfig;
pub use decoder::{Decoder, DecoderConfig, DecoderKind, PositionState, Prediction};
pub use engine::{Engine, Event, Job, JobId, Progress, StepCost};
pub use error::InferError;
pub use length::{LengthConfig, LengthKind};
pub use preset::Preset;
pub use request::{Generation, Request, Stop};
pub use score::{Estimator, Expectation, OptionDistribution, Score, ScoreConfig, ScoreRequest};
pub use step::{Growth, StepContext};
pub use vocabulary::SpecialTokens;
