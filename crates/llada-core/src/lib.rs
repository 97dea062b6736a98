//! The maths of LLaDA, the masked diffusion language model of
//! [Large Language Diffusion Models](https://arxiv.org/abs/2502.09992), and nothing else: no tensor
//! library, no files, no clock, no global random state. Equal inputs give equal outputs, on any
//! number of threads.
//!
//! | subject | module |
//! |---|---|
//! | noise: a counter-based generator | [`rng`] |
//! | training: how text is masked, and what the loss weighs | [`schedule`], [`masking`], [`objective`] |
//! | evaluation: log-likelihood by Monte Carlo; confidence intervals | [`likelihood`], [`interval`] |
//! | sampling: how many tokens, where, which | [`block`], [`transfer`], [`confidence`], [`sampling`], [`guidance`] |
//! | the seam to a model, and what a run leaves behind | [`predictor`], [`tabular`], [`trace`] |
//!
//! Token ids are `u32`, logits and confidences `f32`; sums that grow long are kept in `f64`.
#![forbid(unsafe_code)]

pub mod block;
pub mod confidence;
mod error;
pub mod guidance;
mod hint;
pub mod interval;
pub mod likelihood;
pub mod masking;
pub mod objective;
pub mod predictor;
pub mod rng;
pub mod sampling;
pub mod schedule;
mod simd;
pub mod tabular;
pub mod trace;
pub mod transfer;

pub use error::CoreError;
pub use hint::Hint;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
