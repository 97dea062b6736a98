//! Validation: bits per token and per byte of text that was not trained on.
//!
//! For LLaDA it is the bound of the log-likelihood (equation 6 of the paper), which `llada-infer` estimates under the
//! same maskings every time; for the autoregressive baseline it is the log-likelihood.

use std::{f64::consts::LN_2, ops::ControlFlow};

use llada_infer::{Engine, ScoreConfig, SpecialTokens};
use llada_model::TrainableTransformer;
use serde::Serialize;

use crate::{
    TrainError,
    collective::Collective,
    data::ValidationSet,
    objective::{Answers, MaskedBatch, Objective, Rows},
};

/// Validation is comparable between runs, whatever their seeds.
const SEED: u64 = 1234;

/// How well a model predicts a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Validation {
    /// The bits that a predicted token costs; of LLaDA, an upper bound of them.
    pub bits_per_token: f64,
    /// The same by byte of text.
    pub bits_per_byte: f64,
}

/// The negative log-likelihood of some tokens.
struct Cost {
    nats: f64,
    tokens: usize,
}

/// Validates `model` on `data`, each row masked `mc_num` times. The rows are shared by the processes of `collective`;
/// the result has the bits that one process computes.
///
/// # Errors
/// A row does not fit the model, or the model fails; a process cannot be reached.
pub fn validate(
    model: &mut TrainableTransformer,
    data: &ValidationSet,
    objective: Objective,
    mc_num: usize,
    collective: &mut dyn Collective,
) -> Result<Validation, TrainError> {
    let count = data.rows.len();
    let (mut nats, mut tokens) = (vec![0.0; count], vec![0.0; count]);
    for index in collective.share(count) {
        let row = &data.rows[index];
        let cost = match objective {
            Objective::Diffusion => bound(model, row, mc_num, index as u64)?,
            Objective::Ar => exact(model, row)?,
        };
        (nats[index], tokens[index]) = (cost.nats, cost.tokens as f64);
    }
    collective.sum_all(&mut nats)?;
    collective.sum_all(&mut tokens)?;
    let bits_per_token = nats.iter().sum::<f64>() / tokens.iter().sum::<f64>().max(1.0) / LN_2;
    Ok(Validation { bits_per_token, bits_per_byte: bits_per_token / data.bytes_per_token })
}

/// The upper bound of a lone row's cost; its maskings are those of the question `sample`.
fn bound(model: &mut TrainableTransformer, row: &Rows, mc_num: usize, sample: u64) -> Result<Cost, TrainError> {
    let prompt_length = row.answers.as_ref().map_or(0, Answers::prompt_length);
    let (prompt, answer) = row.ids.split_at(prompt_length);
    let special = SpecialTokens { eos: model.config().eos_token_id, eot: None };
    let config = ScoreConfig { mc_num, seed: SEED, sample, ..ScoreConfig::default() };
    let score = Engine::new(model, special).score(prompt, answer, &config, |_, _| ControlFlow::Continue(()))?;
    Ok(Cost { nats: -score.estimate.log_likelihood, tokens: answer.len() })
}

/// The cost of a lone row under a causal model.
fn exact(model: &mut TrainableTransformer, row: &Rows) -> Result<Cost, TrainError> {
    let losses = model.cross_entropy(&MaskedBatch::autoregressive(row).batch())?;
    Ok(Cost { nats: losses.iter().copied().map(f64::from).sum(), tokens: losses.len() })
}
