//! One run: a size, an objective, a budget.

use std::{path::Path, sync::atomic::AtomicBool};

use llada_train::{
    config::{RunConfig, Training},
    metrics,
    objective::Objective,
    run::{Event, Outcome, Run},
};
use serde::Serialize;
use serde_json::json;
use toml::Table;

use crate::{
    corpus::Corpus,
    size::{ROW_LENGTH, Size, flops_per_token, non_embedding},
};

/// How much is trained and validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Extent {
    pub(crate) steps: u64,
    /// Rows of a step.
    pub(crate) batch_size: usize,
    /// Steps between two validations, and two checkpoints: the same whatever the budget, so that budgets share their runs.
    pub(crate) validate_every: usize,
    /// Rows of the validation; diffusion's bound takes 16 maskings of each.
    pub(crate) validation_rows: usize,
}

impl Extent {
    pub(crate) const TEST: Self = Self { steps: 2, batch_size: 32, validate_every: 1, validation_rows: 2 };

    /// As many whole steps of `batch_size` rows as reach `tokens`, validated after every `rows` rows.
    pub(crate) fn of(tokens: u64, batch_size: usize, rows: usize) -> Self {
        let steps = tokens.div_ceil((batch_size * ROW_LENGTH) as u64);
        Self { steps, batch_size, validate_every: rows.div_ceil(batch_size), validation_rows: 64 }
    }

    pub(crate) fn tokens(self) -> u64 {
        self.steps * (self.batch_size * ROW_LENGTH) as u64
    }
}

/// How a model got better.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Curve {
    #[serde(flatten)]
    pub(crate) size: Size,
    pub(crate) objective: Objective,
    pub(crate) parameters: usize,
    pub(crate) non_embedding_parameters: usize,
    pub(crate) points: Vec<Measured>,
}

/// One validation.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Measured {
    pub(crate) tokens: u64,
    pub(crate) flops: f64,
    pub(crate) bits_per_byte: f64,
}

/// Trains, or goes on; none if it was asked to stop before the end.
pub(crate) fn train(
    size: Size,
    objective: Objective,
    corpus: &Corpus,
    extent: Extent,
    out: &Path,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Curve>> {
    let name = format!("{}-{}", if objective == Objective::Ar { "ar" } else { "diffusion" }, size.d_model);
    let folder = out.join(&name);
    let mut run = Run::open(config(size, objective, corpus, extent, &folder)?, Training::Pretrain)?;
    let model = run.model().config().clone();
    println!("{name}: {} parameters, {} steps of {}", model.parameters(), run.steps_made(), extent.steps);
    let outcome = run.train(stop, |event| {
        if let Event::Step(metrics) = event
            && let Some(bits) = metrics.validation_bits_per_byte
        {
            println!("{name}: {} tokens, {bits:.4} bits a byte", metrics.tokens);
        }
    })?;
    if let Outcome::Stopped(_) = outcome {
        return Ok(None);
    }
    let within = |metrics: &metrics::Metrics| metrics.tokens <= extent.tokens();
    let measured = |metrics: metrics::Metrics| {
        let (tokens, bits_per_byte) = (metrics.tokens, metrics.validation_bits_per_byte?);
        Some(Measured { tokens, flops: tokens as f64 * flops_per_token(&model), bits_per_byte })
    };
    let metrics = metrics::read(&folder.join("metrics.jsonl"))?;
    Ok(Some(Curve {
        size,
        objective,
        parameters: model.parameters(),
        non_embedding_parameters: non_embedding(&model),
        points: metrics.into_iter().filter(within).filter_map(measured).collect(),
    }))
}

/// All but size and objective is the same for all: the seed, hence the order of the data, and the learning rate.
fn config(size: Size, objective: Objective, corpus: &Corpus, extent: Extent, out: &Path) -> anyhow::Result<RunConfig> {
    /// That of llada-tiny.
    const LR: f64 = 2e-3;
    let keys = json!({
        "out": out, "data": corpus.text, "validation": corpus.validation, "tokenizer": corpus.tokenizer,
        "steps": extent.steps, "batch_size": extent.batch_size, "row_length": ROW_LENGTH,
        // A row cut short would cost less than is counted.
        "random_length": false,
        "checkpoint_every": extent.validate_every, "keep": 1,
        "validate_every": extent.validate_every, "validation_rows": extent.validation_rows,
        "schedule": {"lr": LR, "min_lr": LR, "warmup_steps": 100},
    });
    let mut keys = Table::try_from(keys)?;
    if objective == Objective::Diffusion {
        keys.insert("stratified_t".to_owned(), true.into());
    }
    keys.insert("objective".to_owned(), toml::Value::try_from(objective)?);
    keys.insert("model".to_owned(), toml::Value::try_from(size.shape())?);
    Ok(RunConfig::from_tables(Training::Pretrain, [keys])?)
}
