//! The loop: steps, validations and checkpoints until the last step, or until somebody asks to stop.
//!
//! A run's folder holds `checkpoints/`, `metrics.jsonl`, `tensorboard/`, `loss.svg`, and at the end `model/`, or
//! `adapter/` if an adapter is trained. A run whose folder holds a checkpoint goes on from there, bit for bit as if it had never stopped.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use llada_model::TrainableTransformer;

use crate::{
    TrainError,
    batches::Batches,
    checkpoint::{self, Skipped},
    collective::{Collective, SingleProcess},
    config::RunConfig,
    data::{Dataset, DatasetKind},
    metrics::Metrics,
    recorder::Recorder,
    start,
    state::TrainState,
    validate::validate,
};

/// A model in training.
#[derive(Debug)]
pub struct Run {
    config: RunConfig,
    state: TrainState,
    batches: Batches,
    validation: Option<Dataset>,
    collective: Box<dyn Collective>,
    skipped: Vec<Skipped>,
}

/// What happens while a run lasts.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step was made.
    Step(&'a Metrics),
    /// A checkpoint was written.
    Checkpoint(&'a Path),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were made; the model, or the adapter, is in this folder.
    Finished(PathBuf),
    /// The run was asked to stop; it goes on from the checkpoint in this folder.
    Stopped(PathBuf),
}

impl Run {
    /// Opens a run of `kind`: from its newest whole checkpoint, or else from the start.
    ///
    /// # Errors
    /// A file is missing or damaged; the settings contradict the data, the model or each other.
    pub fn open(config: RunConfig, kind: DatasetKind) -> Result<Self, TrainError> {
        let dataset = start::dataset(&config.data, kind)?;
        let validation = match &config.validation {
            Some(folder) => Some(start::dataset(folder, kind)?),
            None => None,
        };
        let model = start::model(&config)?;
        let batches = Batches::new(dataset, model.config(), &config)?;
        let state = TrainState::new(model, &config)?;
        let collective = Box::new(SingleProcess);
        let mut run = Self { config, state, batches, validation, collective, skipped: Vec::new() };
        run.resume()?;
        Ok(run)
    }

    /// The same run as one process of several. All of them open the same run, and train until the same step.
    #[must_use]
    pub fn with_collective(mut self, collective: impl Collective + 'static) -> Self {
        self.collective = Box::new(collective);
        self
    }

    fn resume(&mut self) -> Result<(), TrainError> {
        let found = checkpoint::newest(&self.config.checkpoints())?;
        self.skipped = found.skipped;
        let Some((checkpoint, manifest)) = found.whole else { return Ok(()) };
        if manifest.data != self.batches.digest() {
            return Err(TrainError::OtherData { checkpoint });
        }
        let of =
            |config: &RunConfig| (config.model.clone(), config.adapter.clone(), config.base_dtype, config.objective);
        if of(&manifest.config) != of(&self.config) {
            return Err(TrainError::OtherModel { checkpoint });
        }
        checkpoint::restore(&checkpoint, &manifest, &mut self.state)
    }

    /// The number of steps that were made.
    pub fn steps_made(&self) -> u64 {
        self.state.step
    }

    /// The checkpoints that were damaged when the run was opened.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The model as it is.
    pub fn model(&self) -> &TrainableTransformer {
        &self.state.model
    }

    /// The model as it is, to sample from between two calls of [`train`](Self::train).
    pub fn model_mut(&mut self) -> &mut TrainableTransformer {
        &mut self.state.model
    }

    /// Trains until the last step, or until any process of the run is asked to stop. `observe` hears what happens.
    ///
    /// # Errors
    /// The loss or the gradient is not finite; a file cannot be written; the model fails, or another process. The last
    /// checkpoint is intact.
    pub fn train(&mut self, stop: &AtomicBool, mut observe: impl FnMut(Event<'_>)) -> Result<Outcome, TrainError> {
        let mut recorder = None;
        if self.collective.rank() == 0 {
            recorder = Some(Recorder::open(&self.config, self.batches.digest(), self.state.step)?);
        }
        while self.state.step < self.config.steps && !self.collective.any(stop.load(Ordering::Relaxed))? {
            let mut metrics = self.step()?;
            if let Some(recorder) = &mut recorder {
                if self.is_due(self.config.validate_every) {
                    self.validate(&mut metrics)?;
                }
                recorder.push(&metrics)?;
            }
            observe(Event::Step(&metrics));
            if let Some(recorder) = &mut recorder
                && self.is_due(self.config.checkpoint_every)
            {
                observe(Event::Checkpoint(&recorder.save(&self.state)?));
            }
        }
        match recorder {
            Some(recorder) => recorder.finish(&self.state),
            // Rank 0 writes them.
            None if self.state.step >= self.config.steps => Ok(Outcome::Finished(self.config.exported())),
            None => Ok(Outcome::Stopped(checkpoint::folder(&self.config.checkpoints(), self.state.step))),
        }
    }

    fn step(&mut self) -> Result<Metrics, TrainError> {
        let start = Instant::now();
        let batch = self.batches.get(self.state.step)?;
        let report = self.state.advance(&batch, &self.config, self.collective.as_mut())?;
        Ok(Metrics {
            step: self.state.step,
            loss: report.loss,
            router_aux_loss: report.router_aux_loss,
            grad_norm: report.grad_norm,
            lr: report.lr,
            tokens: self.state.tokens,
            tokens_per_second: batch.tokens() as f64 / start.elapsed().as_secs_f64(),
            validation_bits_per_token: None,
            validation_bits_per_byte: None,
        })
    }

    /// Whether what happens every so many steps happens after the last one made.
    fn is_due(&self, every: u64) -> bool {
        self.state.step.is_multiple_of(every) || self.state.step == self.config.steps
    }

    fn validate(&mut self, metrics: &mut Metrics) -> Result<(), TrainError> {
        let Some(data) = &self.validation else { return Ok(()) };
        let RunConfig { objective, validation_rows, mc_num, .. } = self.config;
        let row_length = self.batches.row_length();
        let validation = validate(&mut self.state.model, data, objective, validation_rows, row_length, mc_num)?;
        metrics.validation_bits_per_token = Some(validation.bits_per_token);
        metrics.validation_bits_per_byte = Some(validation.bits_per_byte);
        Ok(())
    }
}
