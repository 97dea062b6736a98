//! What there is to know about the server: its models, its tokenizer, its health.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, error::ApiError};
use crate::service::Shared;

/// The time in which the engine answers, if it is alive: it does so between two steps.
const ALIVE: Duration = Duration::from_secs(60);

pub(super) async fn models(State(service): State<Shared>) -> Json<Value> {
    let names = &service.options.model_names;
    let data: Vec<Value> = names.iter().map(|name| described(&service, name)).collect();
    let models: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "description": "masked diffusion", "release_date": date(service.started)}))
        .collect();
    Json(json!({"object": "list", "data": data, "models": models}))
}

/// Returns the date of a time in seconds since 1970, as `2026-11-25`: days are counted from the 1st of March of the year 0, so
/// that leap days come last ([Hinnant](https://howardhinnant.github.io/date_algorithms.html#civil_from_days)).
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

pub(super) async fn model(State(service): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    if service.options.model_names.contains(&id) {
        return Ok(Json(described(&service, &id)));
    }
    Err(ApiError::new(StatusCode::NOT_FOUND, "model_not_found", format!("the model {id:?} does not exist")))
}

fn described(service: &Shared, name: &str) -> Value {
    json!({
        "id": name, "object": "model", "created": service.started, "owned_by": "llada",
        "max_model_len": service.max_sequence_length,
    })
}

/// Describes the tokenizer, under vLLM's names.
pub(super) async fn tokenizer_info(State(service): State<Shared>) -> Json<Value> {
    let tokenizer = &service.tokenizer;
    let piece = |id: Option<u32>| id.map(|id| tokenizer.piece(id));
    Json(json!({
        "vocab_size": tokenizer.vocab_size(), "max_model_len": service.max_sequence_length, "mask_token": tokenizer.mask(),
        "mask_token_id": service.mask_id, "eos_token": piece(tokenizer.eos_id()), "eos_token_id": tokenizer.eos_id(),
        "chat_template": tokenizer.chat_problem().is_none(),
    }))
}

#[derive(Debug, Deserialize)]
pub(super) struct TokenizeRequest {
    prompt: String,
    #[serde(default = "yes")]
    add_special_tokens: bool,
}

fn yes() -> bool {
    true
}

pub(super) async fn tokenize(
    State(service): State<Shared>,
    request: Result<Json<TokenizeRequest>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let TokenizeRequest { prompt, add_special_tokens } = body(request)?;
    let tokenizer = &service.tokenizer;
    let ids = if add_special_tokens { tokenizer.encode(&prompt) } else { tokenizer.encode_part(&prompt) };
    let ids = ids.map_err(llada::Error::from)?;
    Ok(Json(json!({"count": ids.len(), "max_model_len": service.max_sequence_length, "tokens": ids})))
}

#[derive(Debug, Deserialize)]
pub(super) struct DetokenizeRequest {
    tokens: Vec<u32>,
}

pub(super) async fn detokenize(
    State(service): State<Shared>,
    request: Result<Json<DetokenizeRequest>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let DetokenizeRequest { tokens } = body(request)?;
    let text = service.tokenizer.decode_with_special(&tokens).map_err(llada::Error::from)?;
    Ok(Json(json!({"prompt": text})))
}

/// Tells whether the engine answers.
pub(super) async fn health(State(service): State<Shared>) -> Response {
    match tokio::time::timeout(ALIVE, service.engine.load()).await {
        Ok(Some(_)) => Json(json!({"status": "ok"})).into_response(),
        _ => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "engine_stopped", "the engine does not answer")
            .into_response(),
    }
}

/// Tells whether requests are taken.
pub(super) async fn ready(State(service): State<Shared>) -> Response {
    if service.is_draining() {
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "the server is shutting down")
            .into_response();
    }
    health(State(service)).await
}

pub(super) async fn metrics(State(service): State<Shared>) -> Response {
    let load = service.engine.load().await.unwrap_or_default();
    ([("content-type", "text/plain; version=0.0.4")], service.metrics.text(load)).into_response()
}

pub(super) async fn version() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_795_651_199, "2026-11-25")] {
            assert_eq!(date(seconds), expected);
        }
    }
}
