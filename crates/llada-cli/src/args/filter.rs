//! The flags of the decoder that has learned from a model's own answers.

use std::path::PathBuf;

use clap::Args;
use llada_infer::{Request, SamplerConfig, learn2pd::Filter};

use crate::{
    exit::{hinted, usage},
    file::read_text,
};

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
    /// Reads the filter, if one is named, for the blocks of `config`.
    ///
    /// # Errors
    /// The file cannot be read, is no filter, or is one of another block length.
    pub(crate) fn read(&self, config: &SamplerConfig) -> anyhow::Result<Option<Filter>> {
        let Some(path) = &self.filter else { return Ok(None) };
        let filter = Filter::from_json(&read_text(path)?);
        let mut filter = filter.map_err(|error| hinted(&error, "llada filter").context(path.display().to_string()))?;
        let block_length = config.block_length.unwrap_or(config.gen_length);
        if filter.block_length() != block_length {
            let (place, fits) = (path.display(), filter.block_length());
            let message =
                format!("{place} is for blocks of {fits} tokens, not {block_length}\nhint: --block-length {fits}");
            return Err(usage(message));
        }
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
