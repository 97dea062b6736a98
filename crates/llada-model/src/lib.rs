//! Masked diffusion language models (LLaDA, arXiv 2502.09992, and related families) on libtorch: Transformers that
//! predict the tokens at masked positions.
//!
//! [`Transformer`] is a model for inference. Samplers use it through the trait
//! [`llada_core::predictor::MaskPredictor`]. [`TrainableTransformer`] is the same Transformer with gradients. It
//! implements the trait as well, so it can be sampled from between two training steps. [`ModelConfig`] and [`Weights`]
//! read checkpoints in the Hugging Face layout; [`Tokenizer`] reads their tokenizer and chat template.
//!
//! ```text
//! config.json ──► ModelConfig ─┐
//! *.safetensors ► Weights ─────┴► Transformer ──► MaskPredictor
//! tokenizer.json, tokenizer_config.json, chat_template.jinja ──► Tokenizer
//! ```

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod adapter;
mod arch;
pub mod atomic;
mod batch;
mod chat;
mod config;
mod convert;
mod error;
mod files;
mod folder;
mod guard;
mod hidden;
mod layers;
mod load;
mod model;
mod quantize;
mod rewrite;
mod tokenizer;
mod torch;
mod train;
mod weights;

pub use adapter::{
    Adapter,
    config::{LoraConfig, Modules, OneOrMore, PatternMap},
    merge::merge,
};
pub use arch::Family;
pub use chat::Message;
pub use config::{AttentionPattern, Biases, ConfigReading, ModelConfig, MoeConfig, MoeLayers, Router, Scoring};
pub use convert::{Conversion, Converted, convert};
pub use error::ModelError;
pub use guard::guarded;
pub use hidden::TransformerHidden;
pub use model::Transformer;
pub use quantize::quantize;
pub use tokenizer::{Tokenizer, Turn};
pub use torch::{Device, Dtype, Int8Kernel, Precision, set_threads};
pub use train::{
    AdamW, EntropyTerm, Exchange, ExchangeError, Numbers, ParameterSlice, Parameters, Pending, Prediction, TensorBox,
    TrainableTransformer, TrainingBatch, norm_of,
};
pub use weights::{
    Weights,
    role::expected_tensors,
    slices::{is_slice, merge_slices},
};
