//! The training objectives: the weight of each masked token's cross-entropy in the loss.
//!
//! Both objectives are bounds of the negative log-likelihood (equations 3 and 5 of the LLaDA paper).
//! The cross-entropy of a token is divided by its probability of being masked, and by the number of
//! *all* tokens that could have been masked, not only of those that were.
//!
//! ```
//! use llada_core::masking::Noisy;
//! use llada_core::objective::{loss, pretraining_weights};
//!
//! let noisy = Noisy {
//!     noisy_batch: vec![9, 2, 9, 4],
//!     masked_indices: vec![true, false, true, false],
//!     p_mask: vec![0.5, 0.25],
//! };
//! let weights = pretraining_weights(&noisy, &[2, 2])?;
//! assert_eq!(weights, [0.5, 0.0, 1.0, 0.0]); // 1 / (0.5 · 4) and 1 / (0.25 · 4)
//! assert_eq!(loss(&[3.0, 0.0, 1.0, 0.0], &weights)?, 2.5);
//! # Ok::<(), llada_core::CoreError>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::CoreError;
use crate::masking::{Noisy, check_prompts, per_token};

/// What the weighted cross-entropies of answers are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Normalisation {
    /// The number of tokens of the row that may be masked, and the number of rows: every answer counts alike (LLaDA).
    #[default]
    Sequence,
    /// The number of tokens of the batch that may be masked: every token counts alike.
    Token,
    /// The number of rows: long answers count more.
    Batch,
}

/// What the cross-entropy of a masked token weighs before it is normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LossWeight {
    /// $1 / p_{\text{mask}}$, which makes the loss a bound of the negative log-likelihood.
    #[default]
    Scheduler,
    /// 1, whatever the noise.
    Uniform,
}

/// Returns the weights for pretraining: $\frac{1}{p_{\text{mask},b} \\, N}$ for masked tokens and zero
/// for the others, where $N$ is the number of tokens in the batch ($B \cdot L$ if all rows have
/// length $L$).
///
/// # Shapes
/// `row_lengths`: one per row; the result: one per token.
///
/// # Errors
/// If lengths disagree.
pub fn pretraining_weights(noisy: &Noisy, row_lengths: &[usize]) -> Result<Vec<f32>, CoreError> {
    let tokens = noisy.masked_indices.len() as f64;
    weights(&noisy.p_mask, &noisy.masked_indices, row_lengths, &vec![tokens; row_lengths.len()])
}

/// Returns the weights for supervised fine-tuning: $\frac{1}{p_{\text{mask},b} \\, A_b \\, B}$ for
/// masked tokens and zero for the others, where $A_b$ is the length of the answer, which is
/// everything in the row after the prompt, *including the EOS padding*.
///
/// # Shapes
/// `row_lengths`, `prompt_lengths`: one per row; the result: one per token.
///
/// # Errors
/// If lengths disagree, or a prompt is longer than its row.
pub fn sft_weights(noisy: &Noisy, row_lengths: &[usize], prompt_lengths: &[usize]) -> Result<Vec<f32>, CoreError> {
    check_prompts(row_lengths, prompt_lengths)?;
    let mut normalisers = Vec::with_capacity(row_lengths.len());
    for (&row_length, &prompt_length) in row_lengths.iter().zip(prompt_lengths) {
        normalisers.push(((row_length - prompt_length) * row_lengths.len()) as f64);
    }
    weights(&noisy.p_mask, &noisy.masked_indices, row_lengths, &normalisers)
}

/// Returns the weights for supervised fine-tuning where a row may have several answers: those of its tokens that are
/// `maskable`. Where each row is a prompt and one answer to its end, the defaults give [`sft_weights`].
///
/// # Shapes
/// `row_lengths`: one per row; `maskable` and the result: one per token.
///
/// # Errors
/// If lengths disagree.
pub fn answer_weights(
    noisy: &Noisy,
    row_lengths: &[usize],
    maskable: &[bool],
    normalisation: Normalisation,
    loss_weight: LossWeight,
) -> Result<Vec<f32>, CoreError> {
    CoreError::check_length("maskable", maskable.len(), row_lengths.iter().sum())?;
    let mut counts = Vec::with_capacity(row_lengths.len());
    let mut rest = maskable;
    for &row_length in row_lengths {
        let (row, after) = rest.split_at(row_length);
        counts.push(row.iter().filter(|&&maskable| maskable).count());
        rest = after;
    }
    let normalisers = normalisation.divisors(&counts);
    let certain = vec![1.0; row_lengths.len()];
    let p_mask = match loss_weight {
        LossWeight::Scheduler => &noisy.p_mask,
        LossWeight::Uniform => &certain,
    };
    weights(p_mask, &noisy.masked_indices, row_lengths, &normalisers)
}

impl Normalisation {
    /// Returns what the weighted cross-entropies of each row are divided by, where `counts` of its tokens may be predicted.
    pub fn divisors(self, counts: &[usize]) -> Vec<f64> {
        let (rows, total) = (counts.len(), counts.iter().sum::<usize>());
        let divisor = |count: &usize| match self {
            Self::Sequence => count * rows,
            Self::Token => total,
            Self::Batch => rows,
        };
        counts.iter().map(|count| divisor(count) as f64).collect()
    }
}

/// Returns $1 / (p_{\text{mask},b} \\, n_b)$ for masked tokens and zero for the others, where $n_b$ is the row's
/// normaliser.
fn weights(
    p_mask: &[f32],
    masked_indices: &[bool],
    row_lengths: &[usize],
    normalisers: &[f64],
) -> Result<Vec<f32>, CoreError> {
    CoreError::check_length("p_mask", p_mask.len(), row_lengths.len())?;
    CoreError::check_length("masked_indices", masked_indices.len(), row_lengths.iter().sum())?;
    let mut row_weights = Vec::with_capacity(row_lengths.len());
    for (&p_mask, normaliser) in p_mask.iter().zip(normalisers) {
        row_weights.push((1.0 / (f64::from(p_mask) * normaliser)) as f32);
    }
    let mut token_weights = Vec::with_capacity(masked_indices.len());
    for (&masked, weight) in masked_indices.iter().zip(per_token(&row_weights, row_lengths)) {
        token_weights.push(if masked { weight } else { 0.0 });
    }
    Ok(token_weights)
}

/// Returns the loss: the weighted sum of the tokens' cross-entropies, in nats.
///
/// # Errors
/// If lengths disagree.
pub fn loss(cross_entropy: &[f32], weights: &[f32]) -> Result<f64, CoreError> {
    CoreError::check_length("cross_entropy", cross_entropy.len(), weights.len())?;
    Ok(cross_entropy.iter().zip(weights).map(|(&ce, &weight)| f64::from(ce) * f64::from(weight)).sum())
}
