//! `metrics.jsonl`, a run's record for people and plots: one JSON object a step.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metrics {
    /// The step, counted from 1.
    pub step: u64,
    /// The objective's value, in nats.
    pub loss: f64,
    /// The value of the loss by which routers spread tokens over experts, where the model has it. `loss` is without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_aux_loss: Option<f64>,
    /// The gradient's norm before it is clipped.
    pub grad_norm: f64,
    /// The learning rate.
    pub lr: f64,
    /// The number of tokens seen since the start of the run.
    pub tokens: u64,
    /// The tokens of this step by the seconds that it took.
    pub tokens_per_second: f64,
    /// Bits per token of the validation set, if this step ended with a validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_bits_per_token: Option<f64>,
    /// Bits per byte of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_bits_per_byte: Option<f64>,
    /// What the kind of training has to tell beside, such as the mean reward, by name.
    #[serde(flatten)]
    pub details: BTreeMap<String, f64>,
}

/// A `metrics.jsonl` that is open for more lines.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens `path` and drops its lines of steps after `step`, which will be made again.
    pub(crate) fn open(path: &Path, step: u64) -> Result<Self, TrainError> {
        let lines = read(path)?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
        let mut opened = Self { path: path.to_owned(), file: file.map_err(TrainError::write(path))? };
        for metrics in lines.iter().filter(|metrics| metrics.step <= step) {
            opened.push(metrics)?;
        }
        Ok(opened)
    }

    pub(crate) fn push(&mut self, metrics: &Metrics) -> Result<(), TrainError> {
        let line = serde_json::to_string(metrics).map_err(|e| TrainError::file(&self.path, e))? + "\n";
        self.file.write_all(line.as_bytes()).map_err(TrainError::write(&self.path))
    }
}

/// The lines of a `metrics.jsonl`; none if there is no such file. A last line that was cut off is left out.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Metrics>, TrainError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path).map_err(TrainError::read(path))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
