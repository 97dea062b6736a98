//! The flags of the decoder that has learned from a model's own answers.

use std::path::PathBuf;

use clap::Args;
use llada_infer::{Request, learn2pd::Filter};

use crate::{exit::hinted, file::read_text};

/// A filter in place of a decoder.
#[derive(Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct FilterArgs {
    /// Decoder that `llada filter` has trained: its network tells which predictions are final
    #[arg(long, value_name = "FILE", conflicts_with_all = ["decoder", "algorithm", "preset"])]
    filter: Option<PathBuf>,

    /// Probability of being final that suffices [default: the file's, 0.96]
    #[arg(long, value_name = "F", requires = "filter")]
    filter_threshold: Option<f32>,
}

impl FilterArgs {
    /// Reads the filter, if one is named.
    ///
    /// # Errors
    /// The file cannot be read, or is no filter.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Filter>> {
        let Some(path) = &self.filter else { return Ok(None) };
        let filter = Filter::from_json(&read_text(path)?);
        let mut filter = filter.map_err(|error| hinted(&error, "llada filter").context(path.display().to_string()))?;
        filter.threshold = self.filter_threshold.unwrap_or(filter.threshold);
        Ok(Some(filter))
    }
}

/// The request with the filter as its decoder, if there is one.
pub(crate) fn filtered(request: Request, filter: Option<&Filter>) -> Request {
    match filter {
        Some(filter) => request.with_decoder(filter.clone()),
        None => request,
    }
}
