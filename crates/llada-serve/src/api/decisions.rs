//! `/v1/decisions`: questions whose possible answers are given, decided by the probabilities of their options.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::future::try_join_all;
use llada::{Decision, OptionDistribution, Question, ScoreConfig};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Map, Value, json};

use super::{
    error::ApiError,
    fields,
    guard::Client,
    respond::blocking,
    score::{config, estimate},
    system_one,
};
use crate::service::Shared;

/// The largest number of questions about one text.
const MAX_QUESTIONS: usize = 64;

/// The body of a request.
#[derive(Debug, Deserialize)]
struct Asked {
    input: String,
    questions: Vec<Question>,
    model: Option<String>,
    #[serde(flatten)]
    options: Map<String, Value>,
}

/// What tells the forms apart.
#[derive(Debug, Deserialize)]
struct AnyForm {
    state: Option<IgnoredAny>,
}

/// Reads a body in either form.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::invalid("invalid_body", "questions", error.to_string()))
}

/// Decides questions in either of the two forms that there are of them, which differ in the name of the text.
pub(super) async fn decide(
    State(service): State<Shared>,
    Extension(client): Extension<Client>,
    body: Bytes,
) -> Result<Response, ApiError> {
    // The order of keys counts in the other form, so the body is not read as a map.
    let is_system_one = serde_json::from_slice::<AnyForm>(&body).is_ok_and(|form| form.state.is_some());
    if is_system_one {
        return Ok(system_one::decide(State(service), Extension(client), body).await);
    }
    let asked: Asked = read(&body)?;
    fields::check_model(&service, asked.model.as_deref())?;
    let config = config(asked.options)?;
    let (answers, usage) = decisions(&service, &client, asked.input, asked.questions, config).await?;
    let usage = json!({
        "input_tokens": usage.tokens,
        "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.tokens,
        "diffusion": {"nfe": usage.nfe},
    });
    let model = &service.options.model_names[0];
    Ok(Json(json!({"object": "decisions", "model": model, "answers": answers, "usage": usage})).into_response())
}

/// The tokens of questions, and the forwards that they took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) tokens: usize,
    nfe: usize,
}

/// Decides questions about a text.
pub(super) async fn decisions(
    service: &Shared,
    client: &Client,
    input: String,
    questions: Vec<Question>,
    config: ScoreConfig,
) -> Result<(Vec<Decision>, Usage), ApiError> {
    if questions.is_empty() || questions.len() > MAX_QUESTIONS {
        let message = format!("there are {} questions; 1 to {MAX_QUESTIONS} are decided", questions.len());
        return Err(ApiError::invalid("invalid_parameter", "questions", message));
    }
    let questions = Arc::new(questions);
    let asked = Arc::clone(&questions);
    let encoded = blocking(service, move |service| {
        let encode = |question: &Question| question.encode(&input, &service.tokenizer, service.eos);
        Ok(asked.iter().map(encode).collect::<Result<Vec<_>, _>>()?)
    })
    .await?;
    let mut usage = Usage::default();
    let mut jobs = Vec::with_capacity(questions.len());
    for options in encoded {
        usage.tokens += options.first().map_or(0, |option| option.prompt.len());
        jobs.push(estimate(service, client, options, config.clone()));
    }
    let mut decisions = Vec::with_capacity(questions.len());
    for (question, (scores, _)) in questions.iter().zip(try_join_all(jobs).await?) {
        usage.nfe += scores.iter().map(|score| score.nfe).sum::<usize>();
        decisions.push(question.decision(&OptionDistribution::from_scores(&scores)));
    }
    Ok((decisions, usage))
}
