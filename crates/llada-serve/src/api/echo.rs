//! The prompt as a part of the answer, with the log-probabilities of its tokens: what clients score texts with.
//!
//! A masked diffusion has no order, so one is chosen, that of reading: each token is predicted given those before it, with masks
//! in the place of all others. By the chain rule the sum over any tail of the prompt is the log-likelihood of the tail, given
//! what is before it and how long it is. It is that of a sampler which reveals from left to right; other orders differ as far
//! as the model's conditionals are not those of one distribution. Nothing precedes the first token, so it has none.

use llada::{Estimator, ScoreConfig, ScoreRequest, TokenLogprobs};
use serde_json::Value;

use super::{error::ApiError, guard::Client, logprobs, sampling::Sampling, score};
use crate::service::Shared;

/// The largest number of tokens that are predicted in one forward.
const MAX_BATCH: usize = 16;

/// A prompt that is told.
#[derive(Debug, Clone)]
pub(super) struct Echo {
    pub(super) text: String,
    pub(super) ids: Vec<u32>,
    /// The log-probabilities of all tokens but the first, if they are asked for.
    logprobs: Option<Vec<TokenLogprobs>>,
    /// The forwards that these took.
    pub(super) nfe: usize,
}

/// Refuses what does not go with an echo.
pub(super) fn check(sampling: &Sampling, has_suffix: bool) -> Result<(), ApiError> {
    let with = if has_suffix {
        "suffix"
    } else if sampling.is_streamed() {
        "stream"
    } else {
        return Ok(());
    };
    let message = format!("echo does not go with {with}; /v1/score tells how probable given answers are");
    Err(ApiError::invalid("unsupported_parameter", "echo", message))
}

impl Echo {
    /// Reads a prompt, and predicts its tokens if their log-probabilities are asked for, with so many alternatives.
    pub(super) async fn new(
        service: &Shared,
        client: &Client,
        (text, ids): (String, Vec<u32>),
        top_logprobs: Option<usize>,
    ) -> Result<Self, ApiError> {
        let mut echo = Self { text, ids, logprobs: None, nfe: 0 };
        let Some(count) = top_logprobs else { return Ok(echo) };
        let [first, others @ ..] = echo.ids.as_slice() else { return Ok(echo) };
        let mut logprobs = Vec::new();
        if !others.is_empty() {
            let option = ScoreRequest::new([*first], others).with_top_logprobs(count);
            // As many tokens at a time as a forward is to have, so that others have their turns.
            let batch_size = (service.options.limits.max_step_tokens / echo.ids.len()).clamp(1, MAX_BATCH);
            let config = ScoreConfig { estimator: Estimator::LeftToRight, batch_size, ..ScoreConfig::default() };
            let (scores, _) = score::estimate(service, client, vec![option], config).await?;
            for score in scores {
                echo.nfe += score.nfe;
                logprobs.extend(score.logprobs);
            }
        }
        echo.logprobs = Some(logprobs);
        Ok(echo)
    }

    /// Describes the log-probabilities of the prompt and of the tokens that follow; null unless they are asked for.
    pub(super) fn logprobs<'a>(
        &'a self,
        service: &Shared,
        following: impl Iterator<Item = (u32, &'a TokenLogprobs)>,
    ) -> Value {
        let Some(known) = &self.logprobs else { return Value::Null };
        let known = std::iter::once(None).chain(known.iter().map(Some));
        logprobs::of_text(
            service,
            self.ids.iter().copied().zip(known).chain(following.map(|(id, known)| (id, Some(known)))),
        )
    }
}
