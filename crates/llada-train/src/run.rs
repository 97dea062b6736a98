//! The loop: steps, validations and checkpoints until the last step, or until somebody asks to stop.
//!
//! A run's folder holds `checkpoints/`, `metrics.jsonl`, `tensorboard/`, `loss.svg`, and at the end `model/`, or
//! `adapter/` if an adapter is trained. A run whose folder holds a checkpoint goes on from there, bit for bit as if it
//! had never stopped.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use llada_model::{Device, Parameters, TrainableTransformer};
use serde_json::Value;

use crate::{
    TrainError,
    checkpoint::{self, Skipped},
    collective::{Collective, SingleProcess, gather},
    config::{DistillationMethod, RunConfig, Training},
    data::{DatasetKind, Source, Tally, ValidationSet},
    environment::Environment,
    loss::{
        Certainty, Loss, distillation::DistillationLoss, masked::MaskedLoss, policy::PolicyLoss, preference::PairLoss,
    },
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
    loss: Box<dyn Loss>,
    validation: Option<ValidationSet>,
    collective: Box<dyn Collective>,
    skipped: Vec<Skipped>,
}

/// What happens while a run lasts.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A part of what precedes the first step was computed.
    Prepared {
        /// The number of parts so far.
        done: u64,
        /// The number of all parts.
        total: u64,
    },
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
    /// The run was asked to stop; it goes on from the checkpoint in this folder, or from the run's folder if it was
    /// before its first step.
    Stopped(PathBuf),
}

impl Run {
    /// Opens a run on data: from its newest whole checkpoint, or else from the start.
    ///
    /// # Errors
    /// A file is missing or damaged; the settings contradict the data, the model or each other.
    pub fn open(config: RunConfig, training: Training) -> Result<Self, TrainError> {
        Self::open_with(config, training, Box::new(SingleProcess))
    }

    /// Opens a run as one process of several, all of which open the same, and train until the same step.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_with(
        config: RunConfig,
        training: Training,
        collective: Box<dyn Collective>,
    ) -> Result<Self, TrainError> {
        let model = start::model(&config)?;
        let masked = |kind| {
            Ok::<_, TrainError>(MaskedLoss::new(Source::open(&config, kind, model.config())?, model.config(), &config))
        };
        let loss: Box<dyn Loss> = match training {
            Training::Pretrain => Box::new(masked(DatasetKind::Pretrain)?),
            Training::Sft => Box::new(masked(DatasetKind::Sft)?),
            Training::Preference => Box::new(PairLoss::new(&config, model.config(), start::tokenizer(&config)?)?),
            Training::Distillation if config.distillation.objective == DistillationMethod::Cap => {
                let (weight, temperature) = (config.distillation.entropy_weight(), config.distillation.temperature());
                Box::new(masked(DatasetKind::Sft)?.with_certainty(Certainty { weight, temperature }))
            }
            Training::Distillation => {
                Box::new(DistillationLoss::new(&config, model.config(), start::tokenizer(&config)?)?)
            }
            Training::Rl => {
                let hint = "reinforcement learning has an environment instead: open it by `Run::rl`";
                return Err(TrainError::config("data", "not what it learns from", hint));
            }
        };
        let kind = if training == Training::Pretrain { DatasetKind::Pretrain } else { DatasetKind::Sft };
        Self::of(config, model, loss, kind, collective)
    }

    /// Opens a run of reinforcement learning on the prompts of `environment`, as [`open`](Self::open) does.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); there are fewer prompts than a batch has, or one is too long.
    pub fn rl(config: RunConfig, environment: impl Environment + 'static) -> Result<Self, TrainError> {
        Self::rl_with(config, environment, Box::new(SingleProcess))
    }

    /// Opens a run of reinforcement learning as one process of several, as [`open_with`](Self::open_with) does.
    ///
    /// # Errors
    /// Those of [`rl`](Self::rl).
    pub fn rl_with(
        config: RunConfig,
        environment: impl Environment + 'static,
        collective: Box<dyn Collective>,
    ) -> Result<Self, TrainError> {
        let model = start::model(&config)?;
        let loss = Box::new(PolicyLoss::new(&config, &model, Box::new(environment))?);
        Self::of(config, model, loss, DatasetKind::Sft, collective)
    }

    /// The run of a loss, validated on a dataset of `kind`.
    fn of(
        config: RunConfig,
        model: TrainableTransformer,
        loss: Box<dyn Loss>,
        kind: DatasetKind,
        collective: Box<dyn Collective>,
    ) -> Result<Self, TrainError> {
        let open = |path: &PathBuf| ValidationSet::open(path, &config, kind, model.config());
        let validation = config.validation.as_ref().map(open).transpose()?;
        let state = TrainState::new(model, &config, collective.as_ref())?;
        let mut run = Self { config, state, loss, validation, collective, skipped: Vec::new() };
        run.resume()?;
        Ok(run)
    }

    fn resume(&mut self) -> Result<(), TrainError> {
        let checkpoints = self.config.checkpoints();
        let steps = checkpoint::steps(&checkpoints)?;
        self.check_ranks(&steps)?;
        let found = checkpoint::newest_of_all(&checkpoints, &steps, self.collective.as_mut())?;
        self.skipped = found.skipped;
        let Some((checkpoint, manifest)) = found.whole else { return Ok(()) };
        if manifest.data != self.loss.digest() {
            return Err(TrainError::OtherData { checkpoint });
        }
        let of =
            |config: &RunConfig| (config.model.clone(), config.adapter.clone(), config.base_dtype, config.objective);
        if of(&manifest.config) != of(&self.config) {
            return Err(TrainError::OtherModel { checkpoint });
        }
        checkpoint::restore(&checkpoint, &manifest, &mut self.state)?;
        self.loss.restore(&checkpoint)
    }

    /// The settings of the run.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The number of steps that were made.
    pub fn steps_made(&self) -> u64 {
        self.state.step
    }

    /// The checkpoints that were damaged when the run was opened.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// What the first epoch has shown so far of conversations that are read while the run lasts: how many, and what was
    /// left out of them.
    pub fn tally(&self) -> Option<Tally> {
        self.loss.tally()
    }

    /// The same of conversations that the run is validated on, as far as they were read for its rows.
    pub fn validation_tally(&self) -> Option<&Tally> {
        self.validation.as_ref().and_then(ValidationSet::tally)
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
        let is_begun = self.state.step > 0;
        let mut hear = |done, total| {
            observe(Event::Prepared { done, total });
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        if self.loss.prepare(&mut self.state.model, is_begun, &mut hear, self.collective.as_mut())?.is_break() {
            return Ok(Outcome::Stopped(self.config.out.clone()));
        }
        let mut recorder = None;
        if self.collective.rank() == 0 {
            recorder = Some(Recorder::open(&self.config, self.state.step)?);
        }
        let mut saved_at = None;
        while self.state.step < self.config.steps && !self.collective.any(stop.load(Ordering::Relaxed))? {
            let ControlFlow::Continue(mut metrics) = self.step(stop)? else { break };
            if self.is_due(self.config.validate_every) {
                self.validate(&mut metrics)?;
            }
            if let Some(recorder) = &mut recorder {
                recorder.push(&metrics)?;
            }
            observe(Event::Step(&metrics));
            if self.is_due(self.config.checkpoint_every) {
                saved_at = Some(self.state.step);
                observe(Event::Checkpoint(&self.save()?));
            }
        }
        let is_finished = self.state.step >= self.config.steps;
        if !is_finished && saved_at != Some(self.state.step) {
            self.save()?;
        }
        let average = self.gather()?;
        if let Some(recorder) = recorder {
            recorder.finish(&self.state, average.as_ref())?;
        }
        let outcome = match is_finished {
            true => Outcome::Finished(self.config.exported()),
            false => Outcome::Stopped(checkpoint::folder(&self.config.checkpoints(), self.state.step)),
        };
        // Rank 0 has written what the outcome names, and the others need it no more to find each other.
        self.collective.barrier()?;
        Ok(outcome)
    }

    /// Compares what the processes have opened. The device alone may differ.
    fn check_ranks(&mut self, checkpoints: &[u64]) -> Result<(), TrainError> {
        let refuse = |e: serde_json::Error| TrainError::Settings { message: e.to_string() };
        let config = RunConfig { device: Device::default(), ..self.config.clone() };
        let own = [
            ("the settings", serde_json::to_value(config).map_err(refuse)?),
            ("the digest of the data", self.loss.digest().into()),
            ("the list of checkpoints", checkpoints.into()),
        ];
        let own = own.map(|(what, value)| (what.to_owned(), value));
        let runs = gather::<[(String, Value); 3]>(self.collective.as_mut(), vec![own])?;
        for (rank, run) in runs.iter().enumerate() {
            for ((what, found), (_, expected)) in run.iter().zip(&runs[0]) {
                if found != expected {
                    return Err(TrainError::OtherRun { rank, message: differing(what, found, expected) });
                }
            }
        }
        Ok(())
    }

    /// Makes the weights whole in every process, and their moving average in rank 0, if there is one.
    fn gather(&mut self) -> Result<Option<Parameters>, TrainError> {
        let (TrainState { model, optimizer, ema, .. }, collective) = (&mut self.state, self.collective.as_mut());
        model.gather_weights(collective)?;
        let Some(own) = ema else { return Ok(None) };
        optimizer.gather(own, model.weights(), collective)
    }

    /// Writes a checkpoint, together with the other processes.
    fn save(&mut self) -> Result<PathBuf, TrainError> {
        checkpoint::save(&self.config, &mut self.state, self.loss.as_ref(), self.collective.as_mut())
    }

    /// Makes a step, unless the run is stopped before its gradient.
    fn step(&mut self, stop: &AtomicBool) -> Result<ControlFlow<(), Metrics>, TrainError> {
        let start = Instant::now();
        let Self { state, loss, collective, .. } = self;
        if loss.asks_the_model() {
            state.model.gather_weights(collective.as_mut())?;
        }
        let mut is_stopped = || stop.load(Ordering::Relaxed);
        if loss.roll_out(&mut state.model, state.step, &mut is_stopped, collective.as_mut())?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let report = state.advance(loss.as_mut(), &self.config, collective.as_mut())?;
        Ok(ControlFlow::Continue(Metrics {
            step: self.state.step,
            loss: report.loss,
            router_aux_loss: report.router_aux_loss,
            grad_norm: report.grad_norm,
            lr: report.lr,
            tokens: self.state.tokens,
            tokens_per_second: report.tokens as f64 / start.elapsed().as_secs_f64(),
            validation_bits_per_token: None,
            validation_bits_per_byte: None,
            details: report.details,
        }))
    }

    /// Whether what happens every so many steps happens after the last one made.
    fn is_due(&self, every: u64) -> bool {
        self.state.step.is_multiple_of(every) || self.state.step == self.config.steps
    }

    fn validate(&mut self, metrics: &mut Metrics) -> Result<(), TrainError> {
        let Some(data) = &self.validation else { return Ok(()) };
        let RunConfig { objective, mc_num, .. } = self.config;
        self.state.model.gather_weights(self.collective.as_mut())?;
        let validation = validate(&mut self.state.model, data, objective, mc_num, self.collective.as_mut())?;
        metrics.validation_bits_per_token = Some(validation.bits_per_token);
        metrics.validation_bits_per_byte = Some(validation.bits_per_byte);
        Ok(())
    }
}

/// In what `found` differs from `expected`: the first key, of objects.
fn differing(what: &str, found: &Value, expected: &Value) -> String {
    if let (Value::Object(found), Value::Object(expected)) = (found, expected)
        && let Some((key, value)) = expected.iter().find(|(key, value)| found.get(*key) != Some(*value))
    {
        return differing(key, found.get(key).unwrap_or(&Value::Null), value);
    }
    format!("{what} is {found}, not {expected}")
}
