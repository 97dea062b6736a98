//! Where a step's rows come from: a dataset that was prepared, or files as they are.

use std::path::Path;

use llada_core::rng::Noise;
use llada_model::ModelConfig;

use super::{BatchOrder, Dataset, DatasetKind, Stream, Tally, files, rows};
use crate::{
    TrainError,
    config::{RunConfig, SftConfig},
    objective::{Answers, Rows},
    start,
};

/// The rows of a run.
#[derive(Debug)]
pub(crate) enum Source {
    Prepared(Box<Prepared>),
    Streamed(Box<Streamed>),
}

/// A dataset, in the order of a run.
#[derive(Debug)]
pub(crate) struct Prepared {
    dataset: Dataset,
    order: BatchOrder,
    row_length: usize,
    sft: SftConfig,
}

/// Conversations, and how they become rows.
#[derive(Debug)]
pub(crate) struct Streamed {
    stream: Stream,
    sft: SftConfig,
    eos: u32,
}

impl Source {
    /// Opens the data of a run, which is for `kind`. Conversations of fine-tuning need no preparation.
    ///
    /// # Errors
    /// A file is missing or damaged; there are fewer rows than a batch, or ids or lengths that the model does not have; a
    /// setting has no meaning for such data.
    pub(crate) fn open(config: &RunConfig, kind: DatasetKind, model: &ModelConfig) -> Result<Self, TrainError> {
        let data = config.data()?;
        if kind == DatasetKind::Sft && !data.join("dataset.json").exists() && data.exists() {
            let files = files::find(data, &config.sft)?;
            let tokenizer = start::tokenizer(config)?;
            let missing = || TrainError::config("tokenizer", "without an end-of-text token", "give that of the model");
            let eos = tokenizer.eos_id().ok_or_else(missing)?;
            let stream = Stream::open(&files, config, model, tokenizer)?;
            return Ok(Self::Streamed(Box::new(Streamed { stream, sft: config.sft.clone(), eos })));
        }
        let dataset = start::dataset(data, kind)?;
        config.sft.check_prepared()?;
        let row_length = config.row_length.unwrap_or(model.max_sequence_length);
        check_dataset(&dataset, model, row_length)?;
        let is_grouped = config.group_by_length && dataset.kind() == DatasetKind::Sft;
        let lengths = if is_grouped { Some(dataset.record_lengths()) } else { None };
        let order = BatchOrder::new(dataset.rows(row_length), config.batch_size, Noise::new(config.seed), lengths)?;
        Ok(Self::Prepared(Box::new(Prepared { dataset, order, row_length, sft: config.sft.clone() })))
    }

    /// The rows of step `step`, counted from 0; of streamed data, those after the last.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn rows(&mut self, step: u64) -> Result<Rows, TrainError> {
        match self {
            Self::Prepared(prepared) => {
                let Prepared { dataset, order, row_length, sft } = prepared.as_mut();
                let mut rows = dataset.read(order.batch(step), *row_length);
                rows.answers = rows.answers.map(|answers: Answers| answers.with(sft));
                Ok(rows)
            }
            Self::Streamed(streamed) => Ok(rows(&streamed.stream.batch()?, &streamed.sft, streamed.eos)),
        }
    }

    /// The digest that tells data apart.
    pub(crate) fn digest(&self) -> &str {
        match self {
            Self::Prepared(prepared) => prepared.dataset.digest(),
            Self::Streamed(streamed) => streamed.stream.digest(),
        }
    }

    /// What was read and left out, if this run reads conversations.
    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.stream().map(Stream::tally)
    }

    /// The stream, if there is one.
    pub(crate) fn stream(&self) -> Option<&Stream> {
        match self {
            Self::Prepared(_) => None,
            Self::Streamed(streamed) => Some(&streamed.stream),
        }
    }

    /// Writes the place in the data into a checkpoint, unless the step tells it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn save(&self, checkpoint: &Path) -> Result<(), TrainError> {
        self.stream().map_or(Ok(()), |stream| stream.save(checkpoint))
    }

    /// Goes on where a checkpoint was written.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn restore(&mut self, checkpoint: &Path) -> Result<(), TrainError> {
        match self {
            Self::Prepared(_) => Ok(()),
            Self::Streamed(streamed) => streamed.stream.restore(checkpoint),
        }
    }
}

/// Refuses ids and lengths that the model does not have.
fn check_dataset(dataset: &Dataset, model: &ModelConfig, row_length: usize) -> Result<(), TrainError> {
    let (vocab_size, max_sequence_length) = (model.vocab_size, model.max_sequence_length);
    if dataset.vocab_size() > vocab_size {
        let hint = format!("the model's vocab_size is {vocab_size}: prepare the data with the model's tokenizer");
        return Err(TrainError::config("data", format!("of {} ids", dataset.vocab_size()), hint));
    }
    let longest = dataset.record_lengths().into_iter().max().unwrap_or(row_length);
    if longest > max_sequence_length {
        let hint = format!("the model's max_sequence_length is {max_sequence_length}");
        return Err(TrainError::config("row_length", longest, hint));
    }
    Ok(())
}
