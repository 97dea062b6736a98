//! Pre-training, supervised fine-tuning and the autoregressive baseline: the rows of each step, and their masks. These
//! are a function of the settings, the data and the step alone.

use std::path::Path;

use llada_core::rng::Noise;
use llada_model::{ModelConfig, TrainableTransformer};

use super::{Lesson, Loss, certain::Certainty};
use crate::{
    TrainError,
    collective::Collective,
    config::RunConfig,
    data::{Source, Tally},
    objective::{MaskedBatch, Objective, Rows},
};

/// The loss of tokens that were masked, or that follow others.
#[derive(Debug)]
pub(crate) struct MaskedLoss {
    source: Source,
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
    /// The loss of a run of `config` on the rows of `source`.
    pub(crate) fn new(source: Source, model: &ModelConfig, config: &RunConfig) -> Self {
        Self {
            source,
            objective: config.objective,
            mask_id: model.mask_token_id,
            random_length: config.random_length,
            stratified_t: config.stratified_t,
            noise: Noise::new(config.seed),
            micro_batch_size: config.micro_batch_size(),
            certainty: None,
        }
    }

    /// The same loss with the entropy of right predictions.
    pub(crate) fn with_certainty(self, certainty: Certainty) -> Self {
        Self { certainty: Some(certainty), ..self }
    }

    /// The rows of step `step`, counted from 0, and what the model sees of them.
    pub(crate) fn batch(&mut self, step: u64) -> Result<(Rows, MaskedBatch), TrainError> {
        let mut rows = self.source.rows(step)?;
        let step = step as u32;
        if self.random_length && rows.answers.is_none() {
            rows.cut_at_random(self.noise, step);
        }
        let batch = self.objective.mask(&rows, self.mask_id, self.stratified_t, self.noise, step)?;
        Ok((rows, batch))
    }

    /// Where the rows come from.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }
}

impl Loss for MaskedLoss {
    fn asks_the_model(&self) -> bool {
        self.certainty.is_some()
    }

    fn lesson(
        &mut self,
        model: &mut TrainableTransformer,
        step: u64,
        collective: &mut dyn Collective,
    ) -> Result<Lesson, TrainError> {
        let (_, batch) = self.batch(step)?;
        let tokens = batch.tokens() as u64;
        let share = batch.share(collective.rank(), collective.world_size());
        let batches = share.micro_batches(self.micro_batch_size);
        let mut lesson = Lesson { tokens, ..Lesson::default() };
        match self.certainty {
            None => lesson.batches = batches,
            Some(certainty) => {
                let found = certainty.weigh(model, batches, collective)?;
                (lesson.loss, lesson.batches) = (Some(found.loss), found.batches);
            }
        }
        Ok(lesson)
    }

    fn digest(&self) -> &str {
        self.source.digest()
    }

    fn tally(&self) -> Option<Tally> {
        self.source.tally()
    }

    fn save(&self, checkpoint: &Path) -> Result<(), TrainError> {
        self.source.save(checkpoint)
    }

    fn restore(&mut self, checkpoint: &Path) -> Result<(), TrainError> {
        self.source.restore(checkpoint)
    }
}
