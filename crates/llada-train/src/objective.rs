//! What a step of training asks the model: which tokens it sees, which it predicts, and what each of them weighs.
//!
//! * **Diffusion** (equations 3 and 5 of the LLaDA paper): tokens are masked with probability `p_mask` and predicted
//!   from both sides. In supervised fine-tuning the prompts stay visible, and the padding with EOS is part of the
//!   answer.
//! * **Autoregressive**: each token is predicted from those before it. It needs a model whose config `is_causal`: the
//!   baseline that the paper compares with.
//!
//! The weights are those of the whole batch of a step. It can be cut into micro-batches between any rows, and the
//! gradients add up to the same.

use llada_core::{
    masking::{forward_process, mask_uniforms, random_length, restore_prompts},
    objective::{pretraining_weights, sft_weights},
    rng::{Domain, Noise},
    schedule::{EPS, stratified_t},
};
use llada_model::TrainingBatch;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// What is minimised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Objective {
    /// LLaDA's: the bound of the negative log-likelihood under random masks.
    #[default]
    Diffusion,
    /// The negative log-likelihood from left to right.
    Ar,
}

/// Texts of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Token ids, row after row.
    pub ids: Vec<u32>,
    /// Tokens of each row.
    pub row_length: usize,
    /// In supervised fine-tuning, how many tokens of each row are its prompt.
    pub prompt_lengths: Option<Vec<usize>>,
}

/// The owned form of a [`TrainingBatch`].
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    ids: Vec<u32>,
    row_length: usize,
    wanted: Vec<usize>,
    targets: Vec<u32>,
    weights: Vec<f32>,
}

impl Rows {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.ids.len() / self.row_length.max(1)
    }

    /// In one step of a hundred, cuts all rows to one random length (section 2.2 of the paper).
    pub(crate) fn cut_at_random(&mut self, noise: Noise, step: u32) {
        let mut stream = noise.domain(Domain::Length).stream(0, step, 0);
        let length = random_length(stream.uniform(), stream.uniform(), self.row_length);
        if length < self.row_length {
            self.ids = self.ids.chunks(self.row_length).flat_map(|row| &row[..length]).copied().collect();
            self.row_length = length;
        }
    }
}

impl Objective {
    /// The question about `rows` at step `step`.
    ///
    /// # Errors
    /// The rows contradict themselves.
    pub fn ask(
        self,
        rows: &Rows,
        mask_id: u32,
        stratified: bool,
        noise: Noise,
        step: u32,
    ) -> Result<Question, TrainError> {
        if self == Self::Ar {
            return Ok(Question::autoregressive(rows));
        }
        let time = noise.domain(Domain::Time);
        let uniform: Vec<f64> = (0..rows.count()).map(|row| time.stream(row as u64, step, 0).at(0)).collect();
        let t: Vec<f32> = if stratified { stratified_t(&uniform) } else { uniform }.iter().map(|&t| t as f32).collect();
        let uniform = mask_uniforms(noise, step, &vec![rows.row_length; rows.count()]);
        Question::masked(rows, &t, &uniform, mask_id)
    }
}

impl Question {
    /// LLaDA's question, from given times and uniform numbers: a token is masked where its number is below `p_mask`.
    ///
    /// # Shapes
    /// t: one a row; uniform: one a token.
    ///
    /// # Errors
    /// Lengths disagree, or a `t` is outside of \[0, 1\].
    pub fn masked(rows: &Rows, t: &[f32], uniform: &[f64], mask_id: u32) -> Result<Self, TrainError> {
        let lengths = vec![rows.row_length; rows.count()];
        let mut noisy = forward_process(&rows.ids, &lengths, t, uniform, mask_id, EPS)?;
        let weights = match &rows.prompt_lengths {
            None => pretraining_weights(&noisy, &lengths)?,
            Some(prompt_lengths) => {
                restore_prompts(&mut noisy, &rows.ids, &lengths, prompt_lengths)?;
                sft_weights(&noisy, &lengths, prompt_lengths)?
            }
        };
        let wanted: Vec<usize> = (0..rows.ids.len()).filter(|&token| noisy.masked_indices[token]).collect();
        Ok(Self {
            targets: wanted.iter().map(|&token| rows.ids[token]).collect(),
            weights: wanted.iter().map(|&token| weights[token]).collect(),
            ids: noisy.noisy_batch,
            row_length: rows.row_length,
            wanted,
        })
    }

    /// The next token's question: the mean over all predicted tokens, or, with prompts, of each answer's mean.
    pub fn autoregressive(rows: &Rows) -> Self {
        let (length, count) = (rows.row_length, rows.count());
        let mut question =
            Self { ids: rows.ids.clone(), row_length: length, wanted: vec![], targets: vec![], weights: vec![] };
        for row in 0..count {
            let first = rows.prompt_lengths.as_ref().map_or(1, |lengths| lengths[row].max(1));
            let weight = 1.0 / (length.saturating_sub(first) * count) as f32;
            for token in row * length + first..(row + 1) * length {
                question.wanted.push(token - 1);
                question.targets.push(rows.ids[token]);
                question.weights.push(weight);
            }
        }
        question
    }

    /// What the model takes.
    pub fn batch(&self) -> TrainingBatch<'_> {
        let Self { ids, row_length, wanted, targets, weights } = self;
        TrainingBatch { ids, row_length: *row_length, wanted, targets, weights }
    }

    /// The question cut into those about `rows` rows at a time.
    pub fn micro_batches(&self, rows: usize) -> Vec<Self> {
        let stretch = (rows * self.row_length).max(1);
        let cut = |start: usize| {
            let end = (start + stretch).min(self.ids.len());
            let below = |bound: usize| self.wanted.partition_point(|&token| token < bound);
            let wanted = below(start)..below(end);
            Self {
                ids: self.ids[start..end].to_vec(),
                row_length: self.row_length,
                wanted: self.wanted[wanted.clone()].iter().map(|token| token - start).collect(),
                targets: self.targets[wanted.clone()].to_vec(),
                weights: self.weights[wanted].to_vec(),
            }
        };
        (0..self.ids.len()).step_by(stretch).map(cut).collect()
    }

    /// The loss, from the wanted tokens' cross-entropies.
    ///
    /// # Errors
    /// There are not as many as wanted tokens.
    pub fn loss(&self, cross_entropy: &[f32]) -> Result<f64, TrainError> {
        Ok(llada_core::objective::loss(cross_entropy, &self.weights)?)
    }

    /// Tokens of the batch.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }
}
