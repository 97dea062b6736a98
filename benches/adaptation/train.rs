//! One run: a variant, trained as far as a budget goes, and measured as it goes.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Context;
use llada_benches::place;
use llada_model::ModelConfig;
use llada_train::{
    config::{RunConfig, Training},
    data::Dataset,
    run::{Event, Run},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use toml::Table;

use crate::{
    masking::{RATIOS, cross_entropies},
    variant::{Start, Variant, shape},
};

/// Tokens of a row.
pub(crate) const ROW_LENGTH: usize = 128;
/// Rows of a step.
const BATCH_SIZE: usize = 8;
/// Tokens of a step.
pub(crate) const STEP: u64 = (BATCH_SIZE * ROW_LENGTH) as u64;
/// Steps between two checkpoints.
const STEPS: u64 = 25;
/// Steps between two measurements once [`EARLY`] is past; a measurement takes as long as eight steps.
const MEASURED_STEPS: u64 = 100;
/// Steps at whose checkpoints everything is measured, where curves are steep.
const EARLY: u64 = 100;

/// The measurements of a run, in its folder.
const MEASURED: &str = "measured.jsonl";

/// How a variant got better.
#[derive(Serialize)]
pub(crate) struct Curve {
    pub(crate) variant: Variant,
    pub(crate) points: Vec<Measured>,
}

impl Curve {
    /// What was measured in `out` up to `tokens`; none where `variant` was never trained there.
    pub(crate) fn read(variant: Variant, out: &Path, tokens: u64) -> anyhow::Result<Option<Self>> {
        let mut points = read(&out.join(variant.name()).join(MEASURED))?;
        points.retain(|point| point.tokens <= tokens);
        Ok((!points.is_empty()).then_some(Self { variant, points }))
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) tokens: u64,
    /// In nats, at each of [`RATIOS`].
    pub(crate) cross_entropies: [f64; RATIOS.len()],
}

/// Trains, or goes on; whether it came to the end before it was asked to stop.
pub(crate) fn train(
    variant: Variant,
    start: &Start,
    tokens: u64,
    out: &Path,
    stop: &AtomicBool,
) -> anyhow::Result<bool> {
    let (name, steps) = (variant.name(), tokens.div_ceil(STEP));
    let folder = out.join(name);
    let validation = Dataset::open(&start.validation)?;
    let mut run = Run::open(config(variant, start, steps, &folder)?, Training::Pretrain)?;
    println!("{name}: {} parameters, {} steps of {steps}", run.model().config().parameters(), run.steps_made());
    let mut points = read(&folder.join(MEASURED))?;
    // What came after the checkpoint is measured again.
    points.retain(|point| point.tokens <= run.steps_made() * STEP);
    loop {
        let made = run.steps_made();
        let tokens = made * STEP;
        let due = made <= EARLY || made.is_multiple_of(MEASURED_STEPS) || made >= steps;
        if due && points.last().is_none_or(|last| last.tokens < tokens) {
            let point = Measured { tokens, cross_entropies: cross_entropies(run.model_mut(), &validation)? };
            println!("{name}: {tokens} tokens, {:.3?} nats", point.cross_entropies);
            points.push(point);
            write(&folder, &points)?;
        }
        if made >= steps {
            return Ok(true);
        }
        let pause = AtomicBool::new(false);
        run.train(&pause, |event| {
            if let Event::Step(metrics) = event
                && (metrics.step.is_multiple_of(STEPS) || stop.load(Ordering::Relaxed))
            {
                pause.store(true, Ordering::Relaxed);
            }
        })?;
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
    }
}

fn config(variant: Variant, start: &Start, steps: u64, out: &Path) -> anyhow::Result<RunConfig> {
    let keys = json!({
        "out": out, "data": start.text, "steps": steps, "batch_size": BATCH_SIZE, "row_length": ROW_LENGTH,
        "random_length": false, "stratified_t": true, "checkpoint_every": STEPS, "keep": 1,
        // Faster than bf16 on processors without AMX, and nothing is rounded.
        "dtype": "f32",
        "schedule": {"lr": variant.lr(), "min_lr": variant.lr(), "warmup_steps": 20},
    });
    let mut keys = Table::try_from(keys)?;
    if variant == Variant::Scratch {
        let shape = shape(&ModelConfig::load(&start.folder)?, ROW_LENGTH);
        keys.insert("model".to_owned(), toml::Value::try_from(shape)?);
        keys.insert("tokenizer".to_owned(), toml::Value::try_from(&start.folder)?);
    } else {
        keys.insert("init".to_owned(), toml::Value::try_from(&start.folder)?);
    }
    Ok(RunConfig::from_tables(Training::Pretrain, [keys])?)
}

/// What was measured before; a line that was cut short is measured again.
fn read(file: &Path) -> anyhow::Result<Vec<Measured>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
}

fn write(folder: &Path, points: &[Measured]) -> anyhow::Result<()> {
    let lines: Vec<String> = points.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    place::write(folder, MEASURED, &(lines.join("\n") + "\n"))
}
