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
        .map(|name| json!({"name": name, "description": "masked diffusion", "release_date": null}))
        .collect();
    Json(json!({"object": "list", "data": data, "models": models}))
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
