//! Pre-training, supervised fine-tuning and the autoregressive baseline: a dataset in the order of a run, and the masks of
//! each step. Both are functions of the settings, the data and the step alone.

use llada_core::rng::Noise;
use llada_model::{ModelConfig, TrainableTransformer};

use super::{Loss, LossReport, accumulate, certain::Certainty};
use crate::{
    TrainError,
    collective::Collective,
    config::RunConfig,
    data::{BatchOrder, Dataset, DatasetKind},
    objective::{MaskedBatch, Objective},
};

/// The loss of tokens that were masked, or that follow others.
#[derive(Debug)]
pub(crate) struct MaskedLoss {
    dataset: Dataset,
    order: BatchOrder,
    row_length: usize,
    objective: Objective,
    mask_id: u32,
    random_length: bool,
    stratified_t: bool,
    noise: Noise,
    micro_batch_size: usize,
    /// Where right predictions are to become certain too.
    certainty: Option<Certainty>,
}

impl MaskedLoss {
    /// The loss of a run of `config` on `dataset`, for a model of `model`'s vocabulary.
    ///
    /// # Errors
    /// The dataset has fewer rows than a batch, or ids or lengths that the model does not have.
    pub(crate) fn new(dataset: Dataset, model: &ModelConfig, config: &RunConfig) -> Result<Self, TrainError> {
        let row_length = config.row_length.unwrap_or(model.max_sequence_length);
        check_dataset(&dataset, model, row_length)?;
        let noise = Noise::new(config.seed);
        let is_grouped = config.group_by_length && dataset.kind() == DatasetKind::Sft;
        let lengths = if is_grouped { Some(dataset.record_lengths()) } else { None };
        Ok(Self {
            order: BatchOrder::new(dataset.rows(row_length), config.batch_size, noise, lengths)?,
            dataset,
            row_length,
            objective: config.objective,
            mask_id: model.mask_token_id,
            random_length: config.random_length,
            stratified_t: config.stratified_t,
            noise,
            micro_batch_size: config.micro_batch_size(),
            certainty: None,
        })
    }

    /// The same loss with the entropy of right predictions.
    pub(crate) fn with_certainty(self, certainty: Certainty) -> Self {
        Self { certainty: Some(certainty), ..self }
    }

    /// The batch of step `step`, counted from 0.
    fn batch(&mut self, step: u64) -> Result<MaskedBatch, TrainError> {
        let mut rows = self.dataset.read(self.order.batch(step), self.row_length);
        let step = step as u32;
        if self.random_length && rows.prompt_lengths.is_none() {
            rows.cut_at_random(self.noise, step);
        }
        self.objective.mask(&rows, self.mask_id, self.stratified_t, self.noise, step)
    }
}

impl Loss for MaskedLoss {
    fn accumulate(
        &mut self,
        model: &mut TrainableTransformer,
        step: u64,
        collective: &mut dyn Collective,
    ) -> Result<LossReport, TrainError> {
        let batch = self.batch(step)?;
        let share = batch.share(collective.rank(), collective.world_size());
        let loss = match self.certainty {
            None => accumulate(model, &share, self.micro_batch_size, self.noise, step)?,
            Some(certainty) => {
                let batches = share.micro_batches(self.micro_batch_size);
                certainty.accumulate(model, &batches, self.noise, step, collective)?.loss
            }
        };
        Ok(LossReport { loss, tokens: batch.tokens() as u64, ..LossReport::default() })
    }

    fn digest(&self) -> &str {
        self.dataset.digest()
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
