//! The training objectives: what each masked token's cross-entropy weighs.
//!
//! Both are bounds of the negative log-likelihood. The cross-entropy is divided by the probability
//! of being masked, and by the number of *all* tokens that could have been, not of those that were
//! (equations 3 and 5 of the LLaDA paper).
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

use crate::CoreError;
use crate::masking::{Noisy, check_prompts, per_token};

/// The weights of pretraining: $\frac{1}{p_{\text{mask},b} \\, N}$ for the masked tokens, zero for
/// the others, where $N$ is the number of tokens of the batch ($B \cdot L$ if all rows are of
/// length $L$).
///
/// # Shapes
/// `row_lengths`: one a row; the result: one a token.
///
/// # Errors
/// If lengths disagree.
pub fn pretraining_weights(noisy: &Noisy, row_lengths: &[usize]) -> Result<Vec<f32>, CoreError> {
    let tokens = noisy.masked_indices.len() as f64;
    weights(noisy, row_lengths, |_| tokens)
}

/// The weights of supervised fine-tuning: $\frac{1}{p_{\text{mask},b} \\, A_b \\, B}$ for the
/// masked tokens, zero for the others, where $A_b$ is the length of the answer: all of the row
/// after its prompt, *the padding with EOS included*.
///
/// # Shapes
/// `row_lengths`, `prompt_lengths`: one a row; the result: one a token.
///
/// # Errors
/// If lengths disagree, or a prompt is longer than its row.
pub fn sft_weights(noisy: &Noisy, row_lengths: &[usize], prompt_lengths: &[usize]) -> Result<Vec<f32>, CoreError> {
    check_prompts(row_lengths, prompt_lengths)?;
    let rows = row_lengths.len();
    weights(noisy, row_lengths, |row| ((row_lengths[row] - prompt_lengths[row]) * rows) as f64)
}

fn weights(noisy: &Noisy, row_lengths: &[usize], normaliser: impl Fn(usize) -> f64) -> Result<Vec<f32>, CoreError> {
    CoreError::check_length("p_mask", noisy.p_mask.len(), row_lengths.len())?;
    CoreError::check_length("masked_indices", noisy.masked_indices.len(), row_lengths.iter().sum())?;
    let weight = |(row, &p_mask): (usize, &f32)| (1.0 / (f64::from(p_mask) * normaliser(row))) as f32;
    let of_rows: Vec<f32> = noisy.p_mask.iter().enumerate().map(weight).collect();
    let of_tokens = noisy.masked_indices.iter().zip(per_token(&of_rows, row_lengths));
    Ok(of_tokens.map(|(&masked, weight)| if masked { weight } else { 0.0 }).collect())
}

/// The loss: the weighted sum of the tokens' cross-entropies, in nats.
///
/// # Errors
/// If lengths disagree.
pub fn loss(cross_entropy: &[f32], weights: &[f32]) -> Result<f64, CoreError> {
    CoreError::check_length("cross_entropy", cross_entropy.len(), weights.len())?;
    Ok(cross_entropy.iter().zip(weights).map(|(&ce, &weight)| f64::from(ce) * f64::from(weight)).sum())
}
