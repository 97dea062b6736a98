//! The maths of LLaDA, the masked diffusion language model of
//! [Large Language Diffusion Models](https://arxiv.org/abs/2502.09992).
//!
//! The crate uses no tensor library, no files, no clock and no global random state. Equal inputs
//! give equal outputs, on any number of threads.
//!
//! | subject | modules |
//! |---|---|
//! | noise: a counter-based generator; orders of any length | [`rng`], [`permutation`] |
//! | training: noise schedules, masking, loss weights | [`schedule`], [`masking`], [`objective`] |
//! | training: what a run takes, on paper | [`plan`] |
//! | alignment: preferences, policy gradients, distillation | [`preference`], [`policy`], [`distillation`] |
//! | evaluation: log-likelihood by Monte Carlo; confidence intervals | [`likelihood`], [`interval`] |
//! | sampling: blocks and steps, confidences, tokens, guidance | [`block`], [`confidence`], [`sampling`], [`guidance`] |
//! | sampling: what is seen of the masks after the block | [`suffix`] |
//! | constraints: languages over token ids | [`automaton`] |
//! | the interface to a model; the record of a generation | [`predictor`], [`tabular`], [`trace`] |
//!
//! Token ids are `u32`; logits and confidences are `f32`. Long sums are accumulated in `f64`.
#![forbid(unsafe_code)]

pub mod automaton;
pub mod block;
pub mod confidence;
pub mod distillation;
mod error;
pub mod guidance;
mod hint;
pub mod interval;
pub mod likelihood;
pub mod masking;
pub mod objective;
pub mod permutation;
pub mod plan;
pub mod policy;
pub mod predictor;
pub mod preference;
pub mod rng;
pub mod sampling;
pub mod schedule;
mod simd;
pub mod suffix;
pub mod tabular;
pub mod trace;

pub use error::CoreError;
pub use hint::Hint;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
