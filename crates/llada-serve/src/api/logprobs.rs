//! Log-probabilities of an answer's tokens, each at the step that committed it.

use std::collections::BTreeMap;

use llada::{Generation, TokenLogprobs, TraceStep};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{error::ApiError, frame::Shape};
use crate::service::Shared;

/// The largest number of alternatives.
const MAX_TOP: usize = 20;

/// What stands for a probability of 0, as in OpenAI's interface.
const IMPOSSIBLE: f32 = -9999.0;

/// What is known of a token that there was no choice in.
static FORCED: TokenLogprobs = TokenLogprobs { logprob: 0.0, top: Vec::new() };

/// What a chat asks for with a flag and a number, and a completion with a number alone.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Logprobs {
    Flag(bool),
    Count(usize),
}

/// Returns the number of alternatives that are asked for, if log-probabilities are.
pub(super) fn count(logprobs: Option<Logprobs>, top_logprobs: Option<usize>) -> Result<Option<usize>, ApiError> {
    let count = match logprobs {
        None | Some(Logprobs::Flag(false)) if top_logprobs.unwrap_or_default() > 0 => {
            return Err(ApiError::invalid("invalid_parameter", "top_logprobs", "top_logprobs needs logprobs: true"));
        }
        None | Some(Logprobs::Flag(false)) => return Ok(None),
        Some(Logprobs::Flag(true)) => top_logprobs.unwrap_or_default(),
        Some(Logprobs::Count(count)) => count,
    };
    if count > MAX_TOP {
        let message = format!("{count} alternatives are asked for, at most {MAX_TOP} are told");
        return Err(ApiError::invalid("invalid_parameter", "top_logprobs", message));
    }
    Ok(Some(count))
}

/// Returns the `tokens` of an answer that starts at `start` with their log-probabilities. One that a constraint left no choice
/// in has 0, and no alternatives.
pub(super) fn known<'a>(
    generation: &'a Generation,
    start: usize,
    tokens: &'a [u32],
) -> impl Iterator<Item = (u32, &'a TokenLogprobs)> {
    let known = by_position(&generation.trace.steps);
    (start..).zip(tokens).map(move |(position, &id)| (id, known.get(&position).copied().unwrap_or(&FORCED)))
}

/// Describes the log-probabilities of the `tokens` of an answer that starts at `start`.
pub(super) fn described(
    service: &Shared,
    shape: Shape,
    generation: &Generation,
    start: usize,
    tokens: &[u32],
) -> Value {
    let rows = known(generation, start, tokens);
    match shape {
        Shape::Chat => {
            let entry = |id: u32, logprob: f32| {
                let piece = service.tokenizer.piece(id);
                json!({"token": piece, "logprob": logprob.max(IMPOSSIBLE), "bytes": piece.as_bytes()})
            };
            let mut content = Vec::new();
            for (id, TokenLogprobs { logprob, top }) in rows {
                let mut token = entry(id, *logprob);
                token["top_logprobs"] = top.iter().map(|&(id, logprob)| entry(id, logprob)).collect();
                content.push(token);
            }
            json!({"content": content, "refusal": null})
        }
        Shape::Text => of_text(service, rows.map(|(id, known)| (id, Some(known)))),
    }
}

/// Describes the log-probabilities of a text's tokens in the form of completions. A token without has null.
pub(super) fn of_text<'a>(service: &Shared, tokens: impl Iterator<Item = (u32, Option<&'a TokenLogprobs>)>) -> Value {
    let piece = |id: u32| service.tokenizer.piece(id);
    let told = |logprob: f32| logprob.max(IMPOSSIBLE);
    let (mut texts, mut token_logprobs, mut top_logprobs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut offsets, mut offset) = (Vec::new(), 0);
    for (id, known) in tokens {
        let text = piece(id);
        offsets.push(offset);
        offset += text.chars().count();
        texts.push(text);
        token_logprobs.push(known.map(|known| told(known.logprob)));
        top_logprobs.push(known.map(|known| -> Map<String, Value> {
            known.top.iter().map(|&(id, logprob)| (piece(id), told(logprob).into())).collect()
        }));
    }
    json!({
        "tokens": texts, "token_logprobs": token_logprobs, "top_logprobs": top_logprobs, "text_offset": offsets,
    })
}

/// Returns the log-probabilities of the tokens that are left at the end.
fn by_position(steps: &[TraceStep]) -> BTreeMap<usize, &TokenLogprobs> {
    let mut known = BTreeMap::new();
    for step in steps {
        for position in &step.revoked {
            known.remove(position);
        }
        known.extend(of_step(step));
    }
    known
}

/// Returns the log-probabilities that a step recorded, with the positions of their tokens.
pub(super) fn of_step(step: &TraceStep) -> impl Iterator<Item = (usize, &TokenLogprobs)> {
    let predicted = step.commits.iter().filter(|commit| step.forced.binary_search(&commit.position).is_err());
    predicted.map(|commit| commit.position).zip(&step.logprobs)
}
