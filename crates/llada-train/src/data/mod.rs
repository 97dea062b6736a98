//! Datasets: text as token ids on disk, or as it is in files, and the order in which training sees it.

mod batch_order;
mod card;
mod dataset;
mod files;
mod lines;
mod mixture;
mod pairs;
mod parquet;
pub mod prepare;
mod prompts;
mod record;
mod source;
mod stream;
mod validation_set;
mod writer;

pub use batch_order::BatchOrder;
pub use dataset::{Dataset, DatasetKind};
pub(crate) use lines::Lines;
pub(crate) use pairs::Pair;
pub(crate) use prompts::Prompt;
pub use record::{Record, rows};
pub(crate) use source::Source;
pub(crate) use stream::Stream;
pub use stream::{Format, Place, Tally};
pub use validation_set::ValidationSet;
pub use writer::DatasetWriter;
