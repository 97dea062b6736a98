//! The LLaDA mask predictor (arXiv 2502.09992) on libtorch: a Transformer without causal mask.
//!
//! [`Llada`] is the model; it implements [`llada_core::predictor::MaskPredictor`], which is all that samplers see.
//! [`TrainableLlada`] is the same Transformer with gradients; it predicts like [`Llada`] while it learns. [`ModelConfig`] and [`Weights`] read the Hugging Face layout, [`Tokenizer`] the text side of a checkpoint.
//!
//! ```text
//! config.json ──► ModelConfig ─┐
//! *.safetensors ► Weights ─────┴► Llada ──► MaskPredictor
//! tokenizer.json, tokenizer_config.json, chat_template.jinja ──► Tokenizer
//! ```

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod arch;
mod batch;
mod chat;
mod config;
mod error;
mod files;
mod folder;
mod guard;
mod hidden;
mod layers;
mod load;
mod model;
mod quantize;
mod tokenizer;
mod torch;
mod train;
mod weights;

pub use arch::Family;
pub use chat::Message;
pub use config::{AttentionPattern, Biases, ConfigReading, ModelConfig, MoeConfig, MoeLayers, Router, Scoring};
pub use error::ModelError;
pub use hidden::LladaHidden;
pub use model::Llada;
pub use quantize::quantize;
pub use tokenizer::{Tokenizer, Turn};
pub use torch::{Device, Dtype, Int8Kernel, Precision, set_threads};
pub use train::{AdamW, Parameters, TrainableLlada, TrainingBatch};
pub use weights::{Weights, role::expected_tensors};
