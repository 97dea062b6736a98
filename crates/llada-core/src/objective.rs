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

use crate::CoreError;
use crate::masking::{Noisy, check_prompts, per_token};

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
    weights(noisy, row_lengths, &vec![tokens; row_lengths.len()])
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
    weights(noisy, row_lengths, &normalisers)
}

/// Returns $1 / (p_{\text{mask},b} \\, n_b)$ for masked tokens and zero for the others, where $n_b$ is the row's
/// normaliser.
fn weights(noisy: &Noisy, row_lengths: &[usize], normalisers: &[f64]) -> Result<Vec<f32>, CoreError> {
    CoreError::check_length("p_mask", noisy.p_mask.len(), row_lengths.len())?;
    CoreError::check_length("masked_indices", noisy.masked_indices.len(), row_lengths.iter().sum())?;
    let mut row_weights = Vec::with_capacity(row_lengths.len());
    for (&p_mask, normaliser) in noisy.p_mask.iter().zip(normalisers) {
        row_weights.push((1.0 / (f64::from(p_mask) * normaliser)) as f32);
    }
    let mut token_weights = Vec::with_capacity(noisy.masked_indices.len());
    for (&masked, weight) in noisy.masked_indices.iter().zip(per_token(&row_weights, row_lengths)) {
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
