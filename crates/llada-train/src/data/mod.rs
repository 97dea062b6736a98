//! Datasets: text as token ids on disk, and the order in which training sees it.

mod batch_order;
mod dataset;
mod pairs;
pub mod prepare;
mod prompts;
mod writer;

pub use batch_order::BatchOrder;
pub use dataset::{Dataset, DatasetKind};
pub(crate) use pairs::{Pair, Pairs};
pub(crate) use prompts::Prompts;
pub use writer::DatasetWriter;
