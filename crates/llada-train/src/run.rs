//! The loop: steps, validations and checkpoints until the last step, or until somebody asks to stop.
//!
//! A run's folder holds `checkpoints/`, `metrics.jsonl`, `tensorboard/`, `loss.svg`, and at the end `model/`. Opening a run whose folder
//! holds a checkpoint goes on from there, bit for bit as if it had never stopped.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use llada_core::rng::Noise;
use llada_model::{Parameters, Tokenizer, TrainableLlada};

use crate::{
    TrainError,
    checkpoint::{self, Parts, Skipped, State, copy_tokenizer},
    config::RunConfig,
    curve,
    data::{Dataset, Kind, Sampler},
    folder::Pending,
    metrics::{self, Metrics, MetricsFile},
    objective::Objective,
    optimizer::Optimizer,
    tensorboard::EventFile,
    validate::{Validation, validate},
};

/// A model in training.
#[derive(Debug)]
pub struct Run {
    config: RunConfig,
    model: TrainableLlada,
    optimizer: Optimizer,
    /// The weights' exponential moving average.
    ema: Option<Parameters>,
    data: Dataset,
    validation: Option<Dataset>,
    sampler: Sampler,
    row_length: usize,
    step: u64,
    tokens: u64,
    skipped: Vec<Skipped>,
}

/// What a run tells while it lasts.
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
    /// All steps were made; the model is in this folder.
    Finished(PathBuf),
    /// It was asked to stop; the checkpoint in this folder is where it goes on.
    Stopped(PathBuf),
}

impl Run {
    /// Opens a run of `kind`: from its newest whole checkpoint, or else from the start.
    ///
    /// # Errors
    /// A file is missing or damaged; the settings contradict the data, the model or each other.
    pub fn open(config: RunConfig, kind: Kind) -> Result<Self, TrainError> {
        let (data, validation) = (dataset(&config.data, kind)?, config.validation.as_deref());
        let validation = validation.map(|folder| dataset(folder, kind)).transpose()?;
        let mut model = start(&config)?;
        model.set_activation_checkpointing(config.activation_checkpointing);
        let longest = model.config().max_sequence_length;
        let row_length = config.row_length.unwrap_or(longest);
        check_data(&data, &model, row_length)?;
        let lengths = (config.group_by_length && kind == Kind::Sft).then(|| data.record_lengths());
        let sampler = Sampler::new(data.rows(row_length), config.batch_size, Noise::new(config.seed), lengths)?;
        let optimizer = Optimizer::new(&model, config.optimizer)?;
        let mut ema = config.ema_decay.map(|_| model.weights().zeros_like()).transpose()?;
        if let Some(ema) = &mut ema {
            ema.copy_from(model.weights())?;
        }
        let mut run = Self {
            config,
            model,
            optimizer,
            ema,
            data,
            validation,
            sampler,
            row_length,
            step: 0,
            tokens: 0,
            skipped: vec![],
        };
        run.resume()?;
        Ok(run)
    }

    fn resume(&mut self) -> Result<(), TrainError> {
        let found = checkpoint::newest(&self.checkpoints())?;
        self.skipped = found.skipped;
        let Some((folder, state)) = found.whole else { return Ok(()) };
        if state.data != self.data.digest() {
            let message = "it was trained on other data\nhint: choose another --out, or the data of this run";
            return Err(TrainError::file(&folder, message));
        }
        if (&state.config.model, state.config.objective) != (&self.config.model, self.config.objective) {
            let message =
                "it is of another [model] or objective\nhint: choose another --out, or the settings of this run";
            return Err(TrainError::file(&folder, message));
        }
        self.parts().restore(&folder)?;
        (self.step, self.tokens) = (state.step, state.tokens);
        Ok(())
    }

    /// Steps that were made.
    pub fn steps_made(&self) -> u64 {
        self.step
    }

    /// The checkpoints that were damaged when the run was opened.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The model as it is.
    pub fn model(&self) -> &TrainableLlada {
        &self.model
    }

    /// Trains until the last step, or until `stop`; `observe` sees what happens.
    ///
    /// # Errors
    /// The loss or the gradient is not finite; a file cannot be written; whatever fails in the model. The last checkpoint
    /// is intact.
    pub fn train(&mut self, stop: &AtomicBool, mut observe: impl FnMut(Event<'_>)) -> Result<Outcome, TrainError> {
        fs::create_dir_all(&self.config.out).map_err(TrainError::write(&self.config.out))?;
        let path = self.config.out.join("metrics.jsonl");
        let mut file = MetricsFile::open(&path, self.step)?;
        let mut events = EventFile::create(&self.config.out.join("tensorboard"), self.step)?;
        let mut saved = None;
        while self.step < self.config.steps && !stop.load(Ordering::Relaxed) {
            let mut metrics = self.step()?;
            let due = |every: u64| metrics.step.is_multiple_of(every) || metrics.step == self.config.steps;
            let (validation_due, checkpoint_due) = (due(self.config.validate_every), due(self.config.checkpoint_every));
            if validation_due && let Some(validation) = self.validate()? {
                metrics.validation_bits_per_token = Some(validation.bits_per_token);
                metrics.validation_bits_per_byte = Some(validation.bits_per_byte);
            }
            file.push(&metrics)?;
            events.push(&metrics)?;
            observe(Event::Step(&metrics));
            saved = None;
            if checkpoint_due {
                let folder = self.save()?;
                observe(Event::Checkpoint(&folder));
                saved = Some(folder);
            }
        }
        curve::write(&self.config.out.join("loss.svg"), &metrics::read(&path)?)?;
        if self.step >= self.config.steps {
            return Ok(Outcome::Finished(self.export()?));
        }
        let folder = match saved {
            Some(folder) => folder,
            None => self.save()?,
        };
        Ok(Outcome::Stopped(folder))
    }

    /// One step of the optimizer.
    fn step(&mut self) -> Result<Metrics, TrainError> {
        let start = Instant::now();
        let (noise, step) = (Noise::new(self.config.seed), self.step as u32);
        let mut rows = self.data.read(self.sampler.batch(self.step), self.row_length);
        if self.config.random_length && rows.prompt_lengths.is_none() {
            rows.cut_at_random(noise, step);
        }
        let mask_id = self.model.config().mask_token_id;
        let question = self.config.objective.ask(&rows, mask_id, self.config.stratified_t, noise, step)?;
        let number = self.step + 1;
        let mut loss = 0.0;
        self.model.clear_gradient()?;
        for micro_batch in question.micro_batches(self.config.micro_batch_size()) {
            loss += micro_batch.loss(&self.model.accumulate(&micro_batch.batch())?)?;
        }
        let grad_norm = self.model.gradient().norm()?;
        for (what, value) in [("loss", loss), ("gradient norm", grad_norm)] {
            if !value.is_finite() {
                return Err(TrainError::NotFinite { what, step: number, value });
            }
        }
        let lr = self.config.schedule.lr(number, self.config.steps);
        self.optimizer.step(&mut self.model, number, lr)?;
        if let (Some(ema), Some(decay)) = (&mut self.ema, self.config.ema_decay) {
            ema.lerp(self.model.weights(), 1.0 - decay)?;
        }
        self.step = number;
        self.tokens = self.tokens.saturating_add(question.tokens() as u64);
        Ok(Metrics {
            step: number,
            loss,
            grad_norm,
            lr,
            tokens: self.tokens,
            tokens_per_second: question.tokens() as f64 / start.elapsed().as_secs_f64(),
            validation_bits_per_token: None,
            validation_bits_per_byte: None,
        })
    }

    fn validate(&mut self) -> Result<Option<Validation>, TrainError> {
        let Some(data) = &self.validation else { return Ok(None) };
        let RunConfig { objective, validation_rows, mc_num, .. } = self.config;
        validate(&mut self.model, data, objective, validation_rows, self.row_length, mc_num).map(Some)
    }

    fn save(&mut self) -> Result<PathBuf, TrainError> {
        let state = State::new(self.step, self.tokens, self.data.digest(), &self.config);
        let (checkpoints, tokenizer, keep) = (self.checkpoints(), self.tokenizer(), self.config.keep);
        self.parts().save(&checkpoints, tokenizer.as_deref(), state, keep)
    }

    /// Writes `model/`: a Hugging Face folder of the weights, or of their moving average if there is one.
    fn export(&self) -> Result<PathBuf, TrainError> {
        let pending = Pending::create(&self.config.out.join("model"))?;
        let weights = self.ema.as_ref().unwrap_or(self.model.weights());
        self.model.save_as(weights, pending.path(), self.config.export_dtype()?)?;
        copy_tokenizer(self.tokenizer().as_deref(), pending.path())?;
        pending.finish()
    }

    fn parts(&mut self) -> Parts<'_> {
        Parts { model: &mut self.model, optimizer: &mut self.optimizer, ema: self.ema.as_mut() }
    }

    fn checkpoints(&self) -> PathBuf {
        self.config.out.join("checkpoints")
    }

    fn tokenizer(&self) -> Option<PathBuf> {
        self.config.tokenizer.clone().or_else(|| self.config.init.clone())
    }
}

/// The model before the first step.
fn start(config: &RunConfig) -> Result<TrainableLlada, TrainError> {
    let (device, dtype) = (config.device()?, config.dtype()?);
    match (&config.init, &config.model, &config.tokenizer) {
        (Some(folder), None, _) => Ok(TrainableLlada::load(folder, device, dtype)?),
        (None, Some(shape), Some(folder)) => {
            let tokenizer = Tokenizer::open(folder)?
                .ok_or_else(|| TrainError::file(folder, "no tokenizer.json\nhint: llada tokenizer train"))?;
            let missing = |token| TrainError::file(folder, format!("the tokenizer has no {token} token"));
            let mask = tokenizer.mask_id().ok_or_else(|| missing("mask"))?;
            let eos = tokenizer.eos_id().ok_or_else(|| missing("end-of-text"))?;
            let shape = shape.config(config.objective, tokenizer.vocab_size(), mask, eos)?;
            Ok(TrainableLlada::new(shape, config.seed, device, dtype)?)
        }
        (Some(folder), Some(_), _) => {
            Err(TrainError::config("init", folder.display(), "it has a shape: leave out [model]"))
        }
        (None, ..) => Err(TrainError::config("init", "missing", "give it, or both [model] and tokenizer")),
    }
    .and_then(|model| match model.config().is_causal() == (config.objective == Objective::Ar) {
        true => Ok(model),
        false => {
            Err(TrainError::config("objective", "not that of init", "a causal model is autoregressive, LLaDA is not"))
        }
    })
}

fn dataset(folder: &Path, kind: Kind) -> Result<Dataset, TrainError> {
    let data = Dataset::open(folder)?;
    if data.kind() == kind {
        return Ok(data);
    }
    let hint = if data.kind() == Kind::Sft { "llada sft" } else { "llada pretrain" };
    Err(TrainError::file(folder, format!("it was prepared for another kind of training\nhint: {hint}")))
}

/// Refuses ids and lengths that the model has not.
fn check_data(data: &Dataset, model: &TrainableLlada, row_length: usize) -> Result<(), TrainError> {
    let (vocab_size, longest) = (model.config().vocab_size, model.config().max_sequence_length);
    if data.vocab_size() > vocab_size {
        let hint = format!("the model's vocab_size is {vocab_size}: prepare the data with the model's tokenizer");
        return Err(TrainError::config("data", format!("of {} ids", data.vocab_size()), hint));
    }
    let found = data.record_lengths().into_iter().max().unwrap_or(row_length);
    if found > longest {
        let hint = format!("the model's max_sequence_length is {longest}");
        return Err(TrainError::config("row_length", found, hint));
    }
    Ok(())
}
