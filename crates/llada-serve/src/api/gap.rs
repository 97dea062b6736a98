//! The length of a gap: a canvas has a fixed number of positions, and the text that belongs in a gap has not.
//!
//! Every candidate is predicted once, and the one whose masks the model is most confident of on average is filled. That is a
//! heuristic: a short gap can be predicted confidently by a text that says little.

use futures_util::future::join_all;
use llada::{Request, SamplerConfig};

use super::{
    error::ApiError,
    follow::Place,
    guard::Client,
    jobs::generation,
    respond::blocking,
    sampling::{Canvas, Prepared, Sampling},
};
use crate::service::Shared;

/// The longest gap between two texts if the request does not say.
const DEFAULT_MAX_TOKENS: usize = 64;

/// Prepares the requests that fill the gap between a prompt and a suffix with at most the tokens that are asked for.
pub(super) async fn prepare(
    service: &Shared,
    client: &Client,
    [prompt, suffix]: [Vec<u32>; 2],
    sampling: Sampling,
) -> Result<Prepared, ApiError> {
    let most = sampling.max_tokens()?.unwrap_or(DEFAULT_MAX_TOKENS);
    let mut candidates = Vec::new();
    for length in lengths(most) {
        let gap = prompt.len()..prompt.len() + length;
        let prompt = [prompt.as_slice(), &vec![service.mask_id; length], &suffix].concat();
        candidates.push(Canvas { prompt, answer: Place::Gap(gap), holes: Vec::new(), call: None });
    }
    let canvas = best(service, client, candidates).await?;
    blocking(service, move |service| sampling.prepare(service, canvas)).await
}

/// Returns the powers of two below `most`, and `most`.
pub(super) fn lengths(most: usize) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut length = 1;
    while length < most {
        lengths.push(length);
        length *= 2;
    }
    lengths.push(most);
    lengths
}

/// Returns the canvas whose masks are predicted with the highest mean log-probability.
pub(super) async fn best(service: &Shared, client: &Client, mut candidates: Vec<Canvas>) -> Result<Canvas, ApiError> {
    if candidates.len() == 1 {
        return Ok(candidates.remove(0));
    }
    let confidences = join_all(candidates.iter().map(|canvas| confidence(service, client, canvas))).await;
    let (mut best, mut highest) = (0, f64::NEG_INFINITY);
    for (index, confidence) in confidences.into_iter().enumerate() {
        let confidence = confidence?;
        if confidence > highest {
            (best, highest) = (index, confidence);
        }
    }
    Ok(candidates.swap_remove(best))
}

/// Predicts the masks of a canvas once, and returns the mean log-probability of the predictions.
async fn confidence(service: &Shared, client: &Client, canvas: &Canvas) -> Result<f64, ApiError> {
    let config = SamplerConfig { gen_length: 0, steps: Some(1), logits_eos_inf: true, ..SamplerConfig::default() };
    let request = Request::new(canvas.prompt.as_slice(), config).with_hole_constraints(canvas.holes.clone());
    let predicted = generation(service, client, request).await?;
    let commits = predicted.trace.steps.iter().flat_map(|step| &step.commits);
    let logs: Vec<f64> = commits.map(|commit| f64::from(commit.confidence).ln()).collect();
    Ok(logs.iter().sum::<f64>() / logs.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_double_up_to_the_longest() {
        assert_eq!(lengths(1), [1]);
        assert_eq!(lengths(8), [1, 2, 4, 8]);
        assert_eq!(lengths(10), [1, 2, 4, 8, 10]);
    }
}
