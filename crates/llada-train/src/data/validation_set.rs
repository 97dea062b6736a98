//! The rows that a run is validated on: the first of a dataset that was prepared, or of conversations as files have
//! them.

use std::path::{Path, PathBuf};

use llada_core::rng::Noise;
use llada_model::ModelConfig;

use super::{
    Dataset, DatasetKind, Stream, Tally, files, rows,
    source::{check_dataset, end_of_text, is_streamed},
};
use crate::{
    TrainError,
    config::{RunConfig, SftConfig, Turns},
    objective::Rows,
    start,
};

/// The splits of a folder that a run is validated on, the first that is there.
const SPLITS: [&str; 2] = ["validation", "test"];

/// Rows to validate on, each alone.
#[derive(Debug)]
pub struct ValidationSet {
    pub(crate) rows: Vec<Rows>,
    pub(crate) bytes_per_token: f64,
    tally: Option<Tally>,
}

impl ValidationSet {
    /// The first `rows` rows of a dataset; those of pre-training have `row_length` tokens.
    pub fn of_dataset(data: &Dataset, rows: usize, row_length: usize) -> Self {
        let rows = rows.min(data.rows(row_length));
        Self {
            rows: (0..rows).map(|row| data.read(&[row], row_length)).collect(),
            bytes_per_token: data.bytes_per_token(),
            tally: None,
        }
    }

    /// What was read of conversations until there were enough rows, and left out.
    pub fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }

    /// The rows in `path` of a run of `config`, whose data is for `kind`.
    ///
    /// # Errors
    /// A file is missing or damaged, or has ids or lengths that the model does not have.
    pub(crate) fn open(
        path: &Path,
        config: &RunConfig,
        kind: DatasetKind,
        model: &ModelConfig,
    ) -> Result<Self, TrainError> {
        if is_streamed(path, kind) {
            return Self::of_conversations(path, config, model);
        }
        let dataset = start::dataset(path, kind)?;
        let row_length = config.row_length.unwrap_or(model.max_sequence_length);
        check_dataset(&dataset, model, row_length)?;
        Ok(Self::of_dataset(&dataset, config.validation_rows, row_length))
    }

    /// The last answers of the first conversations in `path`.
    fn of_conversations(path: &Path, config: &RunConfig, model: &ModelConfig) -> Result<Self, TrainError> {
        let sft = SftConfig { turns: Some(Turns::Last), split: None, ..config.sft.clone() };
        let config = RunConfig { sft, ..config.clone() };
        let tokenizer = start::tokenizer(&config)?;
        let eos = end_of_text(&tokenizer)?;
        let noise = Noise::new(config.seed);
        let stream = Stream::open(path, &files(path, &config.sft)?, &config, model, tokenizer, noise)?;
        let (first, tally) = stream.first(config.validation_rows)?;
        let (mut found, mut bytes, mut tokens) = (Vec::with_capacity(first.len()), 0, 0);
        for (record, text_bytes) in first {
            let row = rows(&[record], &config.sft, eos);
            bytes += text_bytes;
            tokens += row.ids.len();
            found.push(row);
        }
        Ok(Self { rows: found, bytes_per_token: bytes as f64 / (tokens as f64).max(1.0), tally: Some(tally) })
    }
}

/// The files to validate on: `path`, or of a folder those of the split for it, else all that are not of another split.
fn files(path: &Path, sft: &SftConfig) -> Result<Vec<PathBuf>, TrainError> {
    if !path.is_dir() {
        return files::find(path, &SftConfig { config_name: None, ..sft.clone() });
    }
    for split in SPLITS {
        match files::find(path, &SftConfig { split: Some(split.to_owned()), ..sft.clone() }) {
            Err(TrainError::Config { key: "sft.split", .. }) => {}
            found => return found,
        }
    }
    files::find(path, sft)
}
