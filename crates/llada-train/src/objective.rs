//! The objectives: which tokens of a batch the model sees, which it predicts, and what each of them weighs in the loss.
//!
//! * **Diffusion** (equations 3 and 5 of the LLaDA paper): tokens are masked with probability `p_mask` and predicted
//!   from both sides. In supervised fine-tuning only answers are; all else stays visible.
//! * **Autoregressive**: each token is predicted from those before it. It needs a model whose config `is_causal`: the
//!   baseline that the paper compares with.
//!
//! The weights are those of the whole batch of a step. It can be cut into micro-batches between any rows, and the
//! gradients add up to the same.

use std::ops::Range;

use llada_core::{
    masking::{Noisy, complement, forward_process, mask_uniforms, random_length, restore_visible},
    objective::{LossWeight, Normalisation, answer_weights, pretraining_weights},
    policy::View,
    rng::{Domain, Noise},
    schedule::{EPS, stratified_t},
};
use llada_model::{EntropyTerm, TrainingBatch};
use serde::{Deserialize, Serialize};

use crate::{TrainError, collective::share};

/// The loss that is minimised.
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

/// Rows of tokens, all of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// The token ids, row after row.
    pub ids: Vec<u32>,
    /// The number of tokens of each row.
    pub row_length: usize,
    /// In supervised fine-tuning, what is learned of them.
    pub answers: Option<Answers>,
}

/// What is learned of rows, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answers {
    /// Whether each token may be masked, row after row.
    pub maskable: Vec<bool>,
    /// The number of tokens of each row that the model sees, if that is not all of them.
    pub lengths: Option<Vec<usize>>,
    /// What the losses are divided by.
    pub normalisation: Normalisation,
    /// What the loss of a masked token weighs.
    pub loss_weight: LossWeight,
    /// Whether each row is seen a second time, with the complement of its mask.
    pub complementary: bool,
}

/// A batch as the model sees it: masked, with the tokens that it has to predict and their weights in the loss.
///
/// It owns what a [`TrainingBatch`] borrows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MaskedBatch {
    ids: Vec<u32>,
    row_lengths: Vec<usize>,
    wanted: Vec<usize>,
    targets: Vec<u32>,
    weights: Vec<f32>,
    entropy: Option<EntropyWeights>,
    /// The number of the first row among all rows of a step.
    first_row: usize,
    /// The part of all rows of a step.
    share: f64,
}

/// What the entropy of each prediction weighs in the loss.
#[derive(Debug, Clone, PartialEq)]
struct EntropyWeights {
    weights: Vec<f32>,
    temperature: f64,
}

impl Rows {
    /// The number of rows.
    pub fn count(&self) -> usize {
        self.ids.len() / self.row_length.max(1)
    }

    /// The number of tokens of each row that the model sees, if that is not all of them.
    fn lengths(&self) -> Option<&Vec<usize>> {
        self.answers.as_ref()?.lengths.as_ref()
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

impl Answers {
    /// Rows of `row_length` tokens, each a prompt and one answer to its end.
    pub fn after(prompt_lengths: &[usize], row_length: usize) -> Self {
        let mut maskable = Vec::with_capacity(prompt_lengths.len() * row_length);
        for &prompt_length in prompt_lengths {
            maskable.extend((0..row_length).map(|position| position >= prompt_length));
        }
        Self { maskable, ..Self::default() }
    }

    /// The number of tokens of a lone row before its first answer.
    pub fn prompt_length(&self) -> usize {
        self.maskable.iter().position(|&maskable| maskable).unwrap_or(self.maskable.len())
    }
}

impl Objective {
    /// Masks `rows` for step `step`, with noise levels that are drawn one by one or, if `stratified`, spread evenly
    /// over the batch. The noise of a row depends on its place in the batch.
    ///
    /// # Errors
    /// The rows contradict themselves.
    pub fn mask(
        self,
        rows: &Rows,
        mask_id: u32,
        stratified: bool,
        noise: Noise,
        step: u32,
    ) -> Result<MaskedBatch, TrainError> {
        if self == Self::Ar {
            return Ok(MaskedBatch::autoregressive(rows));
        }
        let time = noise.domain(Domain::Time);
        let mut t: Vec<f64> = (0..rows.count()).map(|row| time.stream(row as u64, step, 0).at(0)).collect();
        if stratified {
            t = stratified_t(&t);
        }
        let t: Vec<f32> = t.into_iter().map(|t| t as f32).collect();
        let uniform = mask_uniforms(noise, step, &vec![rows.row_length; rows.count()]);
        MaskedBatch::diffusion(rows, &t, &uniform, mask_id)
    }
}

impl MaskedBatch {
    /// LLaDA's batch for given times and uniform numbers: a token is masked where its number is below `p_mask`.
    ///
    /// # Shapes
    /// `t`: one a row; `uniform`: one a token.
    ///
    /// # Errors
    /// Lengths disagree, or a `t` is outside of \[0, 1\].
    pub fn diffusion(rows: &Rows, t: &[f32], uniform: &[f64], mask_id: u32) -> Result<Self, TrainError> {
        let lengths = vec![rows.row_length; rows.count()];
        let mut noisy = forward_process(&rows.ids, &lengths, t, uniform, mask_id, EPS)?;
        let Some(answers) = &rows.answers else {
            let weights = pretraining_weights(&noisy, &lengths)?;
            return Ok(Self::of_noisy(rows, noisy, &weights));
        };
        let Answers { maskable, normalisation, loss_weight, .. } = answers;
        restore_visible(&mut noisy, &rows.ids, maskable)?;
        let weights = answer_weights(&noisy, &lengths, maskable, *normalisation, *loss_weight)?;
        if !answers.complementary {
            return Ok(Self::of_noisy(rows, noisy, &weights));
        }
        let other = complement(&noisy, &rows.ids, maskable, mask_id)?;
        let other_weights = answer_weights(&other, &lengths, maskable, *normalisation, *loss_weight)?;
        let mut batch = Self::of_noisy(rows, noisy, &weights);
        batch.append(Self::of_noisy(rows, other, &other_weights));
        batch.weights.iter_mut().for_each(|weight| *weight /= 2.0);
        Ok(batch)
    }

    /// The batch of masked rows, with a weight for each token.
    fn of_noisy(rows: &Rows, noisy: Noisy, weights: &[f32]) -> Self {
        let wanted: Vec<usize> = (0..rows.ids.len()).filter(|&token| noisy.masked_indices[token]).collect();
        Self {
            targets: wanted.iter().map(|&token| rows.ids[token]).collect(),
            weights: wanted.iter().map(|&token| weights[token]).collect(),
            ids: noisy.noisy_batch,
            row_lengths: vec![rows.row_length; rows.count()],
            wanted,
            entropy: None,
            first_row: 0,
            share: 1.0,
        }
        .cut_to(rows.lengths())
    }

    /// The same rows, which are equally long, with the first tokens of each that are as many as its length.
    fn cut_to(self, lengths: Option<&Vec<usize>>) -> Self {
        let (Some(lengths), Some(&row_length)) = (lengths, self.row_lengths.first()) else { return self };
        let rows = self.ids.chunks(row_length.max(1)).zip(lengths);
        let ids: Vec<u32> = rows.flat_map(|(row, &length)| &row[..length]).copied().collect();
        let starts: Vec<usize> = (0..lengths.len()).map(|row| lengths[..row].iter().sum()).collect();
        let moved = |token: &usize| starts[token / row_length] + token % row_length;
        Self { ids, wanted: self.wanted.iter().map(moved).collect(), row_lengths: lengths.clone(), ..self }
    }

    /// Adds the rows of `other`.
    fn append(&mut self, other: Self) {
        self.wanted.extend(other.wanted.iter().map(|token| self.ids.len() + token));
        self.ids.extend(other.ids);
        self.targets.extend(other.targets);
        self.weights.extend(other.weights);
        self.row_lengths.extend(other.row_lengths);
    }

    /// The baseline's batch: nothing is masked, and each token predicts the next. The loss is the mean over all
    /// predicted tokens or, with answers, what these say.
    pub fn autoregressive(rows: &Rows) -> Self {
        let row_length = rows.row_length;
        let is_predicted = |token: usize| {
            !token.is_multiple_of(row_length) && rows.answers.as_ref().is_none_or(|answers| answers.maskable[token])
        };
        let (mut wanted, mut targets, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..rows.count() {
            let predicted = (row * row_length..(row + 1) * row_length).filter(|&token| is_predicted(token));
            let before = wanted.len();
            wanted.extend(predicted.map(|token| token - 1));
            counts.push(wanted.len() - before);
        }
        targets.extend(wanted.iter().map(|token| rows.ids[token + 1]));
        let normalisation = rows.answers.as_ref().map_or(Normalisation::Token, |answers| answers.normalisation);
        let mut weights = Vec::with_capacity(wanted.len());
        for (divisor, count) in normalisation.divisors(&counts).into_iter().zip(counts) {
            weights.extend(std::iter::repeat_n(1.0 / divisor as f32, count));
        }
        let (ids, row_lengths) = (rows.ids.clone(), vec![row_length; rows.count()]);
        Self { ids, row_lengths, wanted, targets, weights, share: 1.0, ..Self::default() }.cut_to(rows.lengths())
    }

    /// Views of rows, whose scored tokens are predicted. They weigh nothing yet.
    pub fn of_views<'a>(rows: impl IntoIterator<Item = (&'a [u32], &'a [View])>) -> Self {
        let mut batch = Self { share: 1.0, ..Self::default() };
        for (row, views) in rows {
            for view in views {
                batch.row_lengths.push(row.len());
                batch.wanted.extend(view.scored.iter().map(|position| batch.ids.len() + position));
                batch.targets.extend(view.scored.iter().map(|&position| row[position]));
                batch.ids.extend(&view.ids);
            }
        }
        batch.weights = vec![0.0; batch.wanted.len()];
        batch
    }

    /// The same with these weights, one for each wanted token.
    #[must_use]
    pub fn with_weights(self, weights: Vec<f32>) -> Self {
        Self { weights, ..self }
    }

    /// The same with these weights of the predictions' entropies at `temperature`, one for each wanted token.
    #[must_use]
    pub fn with_entropy(self, weights: Vec<f32>, temperature: f64) -> Self {
        Self { entropy: Some(EntropyWeights { weights, temperature }), ..self }
    }

    /// The same as rows from `first_row` on among the `of` rows of the step.
    #[must_use]
    pub fn from_row(self, first_row: usize, of: usize) -> Self {
        let share = self.rows() as f64 / of.max(1) as f64;
        Self { first_row, share, ..self }
    }

    /// The number of its first row among all rows of the step.
    pub fn first_row(&self) -> usize {
        self.first_row
    }

    /// The batch as the model takes it.
    pub fn batch(&self) -> TrainingBatch<'_> {
        let Self { ids, row_lengths, wanted, targets, weights, entropy, share, .. } = self;
        let entropy =
            entropy.as_ref().map(|entropy| EntropyTerm { weights: &entropy.weights, temperature: entropy.temperature });
        TrainingBatch { ids, row_lengths, wanted, targets, weights, entropy, share: *share }
    }

    /// The share of process `rank` of `world_size`: consecutive rows, as many as any other's or one more.
    ///
    /// The weights stay those of the whole batch, so the gradients of all shares add up to that of the batch.
    pub fn share(&self, rank: usize, world_size: usize) -> Self {
        self.cut(share(self.rows(), rank, world_size))
    }

    /// The batch in pieces of at most `rows` rows, whose gradients add up to that of the batch.
    pub fn micro_batches(&self, rows: usize) -> Vec<Self> {
        let rows = rows.max(1);
        (0..self.rows()).step_by(rows).map(|start| self.cut(start..self.rows().min(start + rows))).collect()
    }

    /// These rows of the batch, with the weights that they have in it.
    fn cut(&self, rows: Range<usize>) -> Self {
        let before = |row: usize| self.row_lengths[..row].iter().sum::<usize>();
        let tokens = before(rows.start)..before(rows.end);
        let first = self.wanted.partition_point(|&token| token < tokens.start);
        let end = self.wanted.partition_point(|&token| token < tokens.end);
        Self {
            wanted: self.wanted[first..end].iter().map(|token| token - tokens.start).collect(),
            targets: self.targets[first..end].to_vec(),
            weights: self.weights[first..end].to_vec(),
            entropy: self.entropy.as_ref().map(|EntropyWeights { weights, temperature }| EntropyWeights {
                weights: weights[first..end].to_vec(),
                temperature: *temperature,
            }),
            ids: self.ids[tokens].to_vec(),
            row_lengths: self.row_lengths[rows.clone()].to_vec(),
            first_row: self.first_row + rows.start,
            share: self.share * (rows.len() as f64 / self.rows() as f64),
        }
    }

    /// The loss, from the cross-entropies of the wanted tokens.
    ///
    /// # Errors
    /// There are not as many as wanted tokens.
    pub fn loss(&self, cross_entropy: &[f32]) -> Result<f64, TrainError> {
        Ok(llada_core::objective::loss(cross_entropy, &self.weights)?)
    }

    /// The weights of the wanted tokens.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The number of tokens that the model sees.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// The number of rows of the batch.
    pub fn rows(&self) -> usize {
        self.row_lengths.len()
    }
}
