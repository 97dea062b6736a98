//! Training of LLaDA (arXiv 2502.09992): pre-training, supervised fine-tuning, and the autoregressive baseline.

mod error;
pub mod lr;
pub mod objective;
pub mod optimizer;

pub use error::TrainError;
