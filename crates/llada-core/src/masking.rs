//! The forward process, which turns clean text $x_0$ into partly masked text $x_t$ (section 2.1 of
//! the LLaDA paper, and `forward_process` of its `GUIDELINES.md`).
//!
//! A batch is ragged: it consists of the concatenated ids of all rows and the length of each row.
//! Each row has one time $t$; each token is masked independently.
//!
//! ```
//! use llada_core::masking::{forward_process, mask_uniforms, restore_prompts};
//! use llada_core::rng::Noise;
//! use llada_core::schedule::EPS;
//!
//! let (input_ids, row_lengths, mask_id) = ([1, 2, 3, 4, 5, 6, 7], [3, 4], 9);
//! let uniform = mask_uniforms(Noise::new(0), 0, &row_lengths);
//! let mut noisy = forward_process(&input_ids, &row_lengths, &[0.0, 1.0], &uniform, mask_id, EPS)?;
//! assert_eq!(noisy.p_mask, [0.001, 1.0]);
//! assert_eq!(noisy.noisy_batch, [1, 2, 3, 9, 9, 9, 9]);
//!
//! restore_prompts(&mut noisy, &input_ids, &row_lengths, &[1, 2])?;
//! assert_eq!(noisy.noisy_batch, [1, 2, 3, 4, 5, 9, 9]);
//! # Ok::<(), llada_core::CoreError>(())
//! ```

use crate::CoreError;
use crate::rng::{Domain, Noise};
use rayon::prelude::*;

/// A batch after the forward process.
#[derive(Clone, Debug, PartialEq)]
pub struct Noisy {
    /// The ids, including the masks; one per token.
    pub noisy_batch: Vec<u32>,
    /// True for the tokens that are masked, and hence predicted; one per token.
    pub masked_indices: Vec<bool>,
    /// The probability with which the tokens of a row were masked; one per row.
    pub p_mask: Vec<f32>,
}

/// Masks every token of row $b$ with probability
/// $p_{\text{mask},b} = (1 - \epsilon)\\,t_b + \epsilon$: a token is masked if its number in
/// `uniform` is less than that.
///
/// `eps` makes it unlikely that a row has no masks, and bounds the weight $1 / p_{\text{mask}}$. The
/// probability is computed in `f32`, in the reference's order of operations.
///
/// # Shapes
/// `input_ids`, `uniform`: one per token; `row_lengths`, `t`: one per row.
///
/// # Errors
/// If lengths disagree, or a `t` or `eps` is outside of \[0, 1\].
pub fn forward_process(
    input_ids: &[u32],
    row_lengths: &[usize],
    t: &[f32],
    uniform: &[f64],
    mask_id: u32,
    eps: f64,
) -> Result<Noisy, CoreError> {
    CoreError::check_length("input_ids", input_ids.len(), row_lengths.iter().sum())?;
    CoreError::check_length("uniform", uniform.len(), input_ids.len())?;
    CoreError::check_length("t", t.len(), row_lengths.len())?;
    CoreError::check_within("eps", eps, 0.0, 1.0)?;
    for &t in t {
        CoreError::check_within("t", t.into(), 0.0, 1.0)?;
    }
    let p_mask: Vec<f32> = t.iter().map(|t| (1.0 - eps) as f32 * t + eps as f32).collect();
    let p_mask_of_token = per_token(&p_mask, row_lengths);
    let masked_indices: Vec<bool> = uniform.iter().zip(p_mask_of_token).map(|(&u, p)| u < p.into()).collect();
    let noisy_batch = input_ids.iter().zip(&masked_indices).map(|(&id, &masked)| if masked { mask_id } else { id });
    Ok(Noisy { noisy_batch: noisy_batch.collect(), masked_indices, p_mask })
}

/// Restores the prompts of a masked batch, for supervised fine-tuning: only answers are masked and
/// predicted.
///
/// # Shapes
/// `input_ids`: the ids before the forward process, one per token; `row_lengths`, `prompt_lengths`:
/// one per row.
///
/// # Errors
/// If lengths disagree, or a prompt is longer than its row.
pub fn restore_prompts(
    noisy: &mut Noisy,
    input_ids: &[u32],
    row_lengths: &[usize],
    prompt_lengths: &[usize],
) -> Result<(), CoreError> {
    CoreError::check_length("input_ids", input_ids.len(), noisy.noisy_batch.len())?;
    CoreError::check_length("masked_indices", noisy.masked_indices.len(), input_ids.len())?;
    CoreError::check_length("noisy_batch", noisy.noisy_batch.len(), row_lengths.iter().sum())?;
    check_prompts(row_lengths, prompt_lengths)?;
    let mut start = 0;
    for (&row_length, &prompt_length) in row_lengths.iter().zip(prompt_lengths) {
        let prompt = start..start + prompt_length;
        noisy.noisy_batch[prompt.clone()].copy_from_slice(&input_ids[prompt.clone()]);
        noisy.masked_indices[prompt].fill(false);
        start += row_length;
    }
    Ok(())
}

/// Restores what is not `maskable`: prompts, and answers or padding that are not to be learned. Where each row is a prompt
/// and one answer to its end, this is [`restore_prompts`].
///
/// # Shapes
/// `input_ids`, `maskable`: one per token.
///
/// # Errors
/// If lengths disagree.
pub fn restore_visible(noisy: &mut Noisy, input_ids: &[u32], maskable: &[bool]) -> Result<(), CoreError> {
    CoreError::check_length("input_ids", input_ids.len(), noisy.noisy_batch.len())?;
    CoreError::check_length("maskable", maskable.len(), input_ids.len())?;
    CoreError::check_length("masked_indices", noisy.masked_indices.len(), input_ids.len())?;
    for token in (0..input_ids.len()).filter(|&token| !maskable[token]) {
        noisy.noisy_batch[token] = input_ids[token];
        noisy.masked_indices[token] = false;
    }
    Ok(())
}

/// Returns the complementary batch: of what is `maskable`, exactly those tokens are masked that are visible in `noisy`. Each
/// was so with probability $1 - p_{\text{mask},b}$ (complementary masks of LLaDA2.0, arXiv 2512.15745).
///
/// # Shapes
/// `input_ids`, `maskable`: one per token.
///
/// # Errors
/// If lengths disagree.
pub fn complement(noisy: &Noisy, input_ids: &[u32], maskable: &[bool], mask_id: u32) -> Result<Noisy, CoreError> {
    CoreError::check_length("input_ids", input_ids.len(), noisy.masked_indices.len())?;
    CoreError::check_length("maskable", maskable.len(), input_ids.len())?;
    let masked_indices: Vec<bool> =
        maskable.iter().zip(&noisy.masked_indices).map(|(&maskable, &masked)| maskable && !masked).collect();
    let noisy_batch = input_ids.iter().zip(&masked_indices).map(|(&id, &masked)| if masked { mask_id } else { id });
    Ok(Noisy {
        noisy_batch: noisy_batch.collect(),
        masked_indices,
        p_mask: noisy.p_mask.iter().map(|p_mask| 1.0 - p_mask).collect(),
    })
}

/// Draws the uniform numbers for [`forward_process`] at training step `step`. The number of a token
/// depends only on its row and its position in the row.
pub fn mask_uniforms(noise: Noise, step: u32, row_lengths: &[usize]) -> Vec<f64> {
    let noise = noise.domain(Domain::Mask);
    let rows = row_lengths.par_iter().enumerate();
    rows.flat_map_iter(|(row, &length)| {
        let stream = noise.stream(row as u64, step, 0);
        (0..length as u32).map(move |token| stream.at(token))
    })
    .collect()
}

/// Returns the length, in tokens, that a batch is truncated to before it is masked, so that the model
/// also learns from short texts: with probability 1 % a uniform number in `1..=max_length`, otherwise
/// `max_length` (section 2.2 of the paper). `coin` and `uniform` are uniform in (0, 1).
///
/// ```
/// use llada_core::masking::random_length;
///
/// assert_eq!(random_length(0.5, 0.25, 4096), 4096);
/// assert_eq!(random_length(0.005, 0.25, 4096), 1025);
/// ```
pub fn random_length(coin: f64, uniform: f64, max_length: usize) -> usize {
    const RATIO: f64 = 0.01;
    if coin < RATIO { (1 + (uniform * max_length as f64) as usize).min(max_length) } else { max_length }
}

/// Repeats the value of every row for each of its tokens.
pub(crate) fn per_token(values: &[f32], row_lengths: &[usize]) -> impl Iterator<Item = f32> {
    values.iter().zip(row_lengths).flat_map(|(&value, &length)| std::iter::repeat_n(value, length))
}

/// Refuses prompts that are longer than their rows.
pub(crate) fn check_prompts(row_lengths: &[usize], prompt_lengths: &[usize]) -> Result<(), CoreError> {
    CoreError::check_length("prompt_lengths", prompt_lengths.len(), row_lengths.len())?;
    for (&prompt_length, &row_length) in prompt_lengths.iter().zip(row_lengths) {
        CoreError::check_at_most("prompt length", prompt_length, row_length)?;
    }
    Ok(())
}
