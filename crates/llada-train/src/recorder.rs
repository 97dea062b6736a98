//! What a run writes into its folder: metrics, events for TensorBoard, checkpoints, the loss curve, and the model.
//!
//! In a data-parallel run, rank 0 alone has one.

use std::fs;

use llada_model::{Parameters, atomic::PendingFolder};

use crate::{
    TrainError,
    checkpoint::copy_tokenizer,
    config::RunConfig,
    curve,
    metrics::{self, Metrics, MetricsFile},
    state::TrainState,
    tensorboard::EventFile,
};

/// The open files of a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    config: RunConfig,
    metrics: MetricsFile,
    events: EventFile,
}

impl Recorder {
    /// Opens the files of a run that has made `step` steps; what they tell of later ones is dropped.
    pub(crate) fn open(config: &RunConfig, step: u64) -> Result<Self, TrainError> {
        fs::create_dir_all(&config.out).map_err(TrainError::write(&config.out))?;
        Ok(Self {
            config: config.clone(),
            metrics: MetricsFile::open(&config.out.join("metrics.jsonl"), step)?,
            events: EventFile::create(&config.out.join("tensorboard"), step)?,
        })
    }

    /// Records a step.
    pub(crate) fn push(&mut self, metrics: &Metrics) -> Result<(), TrainError> {
        self.metrics.push(metrics)?;
        self.events.push(metrics)
    }

    /// Writes the loss curve and, after the last step, the model, with the moving average of the weights if there is one.
    pub(crate) fn finish(self, state: &TrainState, average: Option<&Parameters>) -> Result<(), TrainError> {
        let metrics = metrics::read(&self.config.out.join("metrics.jsonl"))?;
        curve::write(&self.config.out.join("loss.svg"), &metrics)?;
        if state.step >= self.config.steps {
            self.export(state, average.unwrap_or(state.model.weights()))?;
        }
        Ok(())
    }

    /// Writes a Hugging Face folder, or peft's folder of an adapter.
    fn export(&self, state: &TrainState, weights: &Parameters) -> Result<(), TrainError> {
        let pending = PendingFolder::create(&self.config.exported())?;
        state.model.save_as(weights, pending.path(), self.config.export_dtype)?;
        copy_tokenizer(self.config.tokenizer_folder(), pending.path())?;
        pending.finish()?;
        Ok(())
    }
}
