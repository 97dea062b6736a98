//! Validation: bits per token and per byte of text that was not trained on.
//!
//! For LLaDA, the bound of the log-likelihood (equation 6 of the paper), stratified, the same maskings every time; for
//! the autoregressive baseline, the log-likelihood.

use llada_core::{
    likelihood::{BATCH_SIZE, MaskingPlan},
    rng::Noise,
};
use llada_model::{TrainableLlada, TrainingBatch};
use serde::Serialize;

use crate::{
    TrainError,
    data::Dataset,
    objective::{Objective, Question, Rows},
};

/// How well a model predicts a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Validation {
    /// Upper bound (for LLaDA) of the bits that a predicted token costs.
    pub bits_per_token: f64,
    /// The same by byte of text.
    pub bits_per_byte: f64,
}

/// Validates `model` on the first `rows` rows of `data`, each masked `mc_num` times.
///
/// # Errors
/// A row does not fit the model; whatever fails in it.
pub fn validate(
    model: &mut TrainableLlada,
    data: &Dataset,
    objective: Objective,
    rows: usize,
    row_length: usize,
    mc_num: usize,
) -> Result<Validation, TrainError> {
    let (mut nats, mut tokens) = (0.0, 0);
    for row in 0..rows.min(data.rows(row_length)) {
        let rows = data.read(&[row], row_length);
        let (of_row, predicted) = match objective {
            Objective::Diffusion => bound(model, &rows, mc_num, row)?,
            Objective::Ar => {
                let losses = model.cross_entropy(&Question::autoregressive(&rows).batch())?;
                (losses.iter().map(|&loss| f64::from(loss)).sum(), losses.len())
            }
        };
        nats += of_row;
        tokens += predicted;
    }
    let bits_per_token = nats / (tokens as f64).max(1.0) / std::f64::consts::LN_2;
    Ok(Validation { bits_per_token, bits_per_byte: bits_per_token / data.bytes_per_token() })
}

/// The bound of one row's negative log-likelihood in nats, and over how many tokens.
fn bound(model: &mut TrainableLlada, row: &Rows, mc_num: usize, sample: usize) -> Result<(f64, usize), TrainError> {
    /// Validation is comparable between runs, whatever their seeds.
    const SEED: u64 = 1234;
    let prompt = row.prompt_lengths.as_ref().map_or(0, |lengths| lengths[0]);
    let answer_length = row.row_length - prompt;
    let plan = MaskingPlan::stratified(answer_length, mc_num, BATCH_SIZE, Noise::new(SEED), sample as u64)?;
    let mask_id = model.config().mask_token_id;
    let mut log_p_masked = Vec::with_capacity(mc_num);
    for group in plan.perturbations().chunks(BATCH_SIZE) {
        let mut ids = row.ids.repeat(group.len());
        let masked = |(copy, perturbation): (usize, &llada_core::likelihood::Perturbation)| {
            let start = copy * row.row_length + prompt;
            perturbation.masked.iter().map(move |position| start + position).collect::<Vec<_>>()
        };
        let wanted: Vec<usize> = group.iter().enumerate().flat_map(masked).collect();
        let targets: Vec<u32> = wanted.iter().map(|&token| ids[token]).collect();
        wanted.iter().for_each(|&token| ids[token] = mask_id);
        let weights = vec![1.0; wanted.len()];
        let batch = TrainingBatch {
            ids: &ids,
            row_length: row.row_length,
            wanted: &wanted,
            targets: &targets,
            weights: &weights,
        };
        let mut losses = model.cross_entropy(&batch)?.into_iter();
        log_p_masked.extend(
            group
                .iter()
                .map(|perturbation| -losses.by_ref().take(perturbation.masked.len()).map(f64::from).sum::<f64>()),
        );
    }
    Ok((-plan.estimate(&log_p_masked)?.log_likelihood, answer_length))
}
