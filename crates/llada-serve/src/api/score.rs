//! `/v1/score`: how probable answers are.

use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
};
use llada::{Job, Score, ScoreConfig, ScoreRequest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    body,
    error::ApiError,
    fields,
    guard::Client,
    jobs,
    messages::{self, ChatMessage},
    respond::blocking,
};
use crate::{
    engine::{Entry, Times},
    service::Shared,
};

/// The largest number of answers to one question.
const MAX_ANSWERS: usize = 64;

/// The body of a request.
#[derive(Debug, Deserialize)]
pub(super) struct ScoreBody {
    model: Option<String>,
    prompt: Option<String>,
    messages: Option<Vec<ChatMessage>>,
    answers: Vec<String>,
    #[serde(flatten)]
    options: Map<String, Value>,
}

pub(super) async fn score(
    State(service): State<Shared>,
    Extension(client): Extension<Client>,
    request: Result<Json<ScoreBody>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let ScoreBody { model, prompt, messages, answers, options } = body(request)?;
    fields::check_model(&service, model.as_deref())?;
    if answers.is_empty() || answers.len() > MAX_ANSWERS {
        let message = format!("there are {} answers; 1 to {MAX_ANSWERS} are scored", answers.len());
        return Err(ApiError::invalid("invalid_parameter", "answers", message));
    }
    let config = config(options)?;
    let options = blocking(&service, move |service| {
        let encode = |answer: &String| encode(service, prompt.as_deref(), messages.as_deref(), answer);
        answers.iter().map(encode).collect::<Result<Vec<_>, _>>()
    })
    .await?;
    let tokens: Vec<[usize; 2]> = Vec::from_iter(pairs(&options));
    let (scores, times) = estimate(&service, &client, options, config).await?;
    Ok(Json(respond(&service, &tokens, &scores, times)))
}

/// Reads the settings of the estimator.
pub(super) fn config(options: Map<String, Value>) -> Result<ScoreConfig, ApiError> {
    serde_json::from_value(options.into())
        .map_err(|error| ApiError::invalid("invalid_parameter", "estimator", error.to_string()))
}

fn pairs(options: &[ScoreRequest]) -> impl Iterator<Item = [usize; 2]> {
    options.iter().map(|option| [option.prompt.len(), option.answer.len()])
}

/// Encodes an answer to a text or to a conversation.
fn encode(
    service: &Shared,
    prompt: Option<&str>,
    messages: Option<&[ChatMessage]>,
    answer: &str,
) -> Result<ScoreRequest, ApiError> {
    let tokenizer = &service.tokenizer;
    match (prompt, messages) {
        (Some(prompt), None) => {
            let (prompt, answer) = tokenizer.encode_pair(prompt, answer).map_err(llada::Error::from)?;
            Ok(ScoreRequest::new(prompt, answer))
        }
        (None, Some(messages)) => {
            let prompt = messages::encode(service, &messages::read(messages.to_vec())?)?;
            let answer = tokenizer.encode_part(answer).map_err(llada::Error::from)?;
            Ok(ScoreRequest::new(prompt, answer))
        }
        _ => Err(ApiError::invalid("invalid_parameter", "prompt", "a question is either a prompt or messages")),
    }
}

/// Estimates the log-likelihoods of the options of one question.
pub(super) async fn estimate(
    service: &Shared,
    client: &Client,
    options: Vec<ScoreRequest>,
    config: ScoreConfig,
) -> Result<(Vec<Score>, Times), ApiError> {
    let job = Job::Score { options, config };
    let ticket = jobs::submit(service, client, job, None).await?;
    jobs::outcome(ticket.reader(), |entry| match entry {
        Entry::Scored { scores, times } => Some((scores.clone(), *times)),
        _ => None,
    })
    .await
}

fn respond(service: &Shared, tokens: &[[usize; 2]], scores: &[Score], times: Times) -> Value {
    let mut described = Vec::new();
    for (index, (score, [_, answer])) in scores.iter().zip(tokens).enumerate() {
        let estimate = &score.estimate;
        described.push(json!({
            "index": index,
            "log_likelihood": estimate.log_likelihood,
            "standard_error": estimate.standard_error,
            "tokens": answer,
            "nats_per_token": -estimate.log_likelihood / *answer as f64,
        }));
    }
    let prompt_tokens = tokens.iter().map(|[prompt, _]| *prompt).max().unwrap_or_default();
    let answer_tokens: usize = tokens.iter().map(|[_, answer]| answer).sum();
    let nfe: usize = scores.iter().map(|score| score.nfe).sum();
    json!({
        "object": "score",
        "model": service.options.model_names[0],
        "scores": described,
        "usage": {
            "prompt_tokens": prompt_tokens,
            "total_tokens": prompt_tokens + answer_tokens,
            "diffusion": {"nfe": nfe, "queue_seconds": times.queued.as_secs_f64(), "run_seconds": times.ran.as_secs_f64()},
        },
    })
}
