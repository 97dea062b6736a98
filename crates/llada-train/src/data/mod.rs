//! Text as token ids on disk, and which of it each step of training sees.

mod dataset;
pub mod prepare;
mod sampler;
mod writer;

pub use dataset::{Dataset, Kind};
pub use sampler::Sampler;
pub use writer::DatasetWriter;
