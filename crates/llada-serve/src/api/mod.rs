//! The HTTP interface.

mod answer;
mod chat;
mod choice;
mod completions;
mod constraint;
mod decisions;
mod echo;
mod error;
mod events;
mod fields;
mod follow;
mod frame;
mod gap;
mod guard;
mod infill;
mod jobs;
mod logprobs;
mod messages;
mod native;
mod openapi;
mod page;
mod respond;
mod sampling;
mod score;
mod server;
mod submitted;
mod system_one;
mod tools;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, rejection::JsonRejection},
    http::StatusCode,
    middleware,
    routing::{delete, get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

pub use error::ApiError;
pub(crate) use submitted::Submissions;

use crate::service::Service;

/// Returns the routes of a served model.
pub fn router(service: Service) -> Router {
    let service = service.0;
    let max_body = service.options.max_body;
    Router::new()
        .route("/v1/chat/completions", post(chat::chat))
        .route("/v1/completions", post(completions::complete))
        .route("/v1/fim/completions", post(completions::complete))
        .route("/v1/infill", post(infill::infill))
        .route("/v1/score", post(score::score))
        .route("/v1/decisions", post(decisions::decide))
        .route("/v1/systemone", post(system_one::decide))
        .route("/v1/diffusion/generate", post(native::generate))
        .route("/v1/diffusion/generations/{id}/events", get(native::resume))
        .route("/v1/diffusion/generations/{id}", delete(native::cancel))
        .route("/v1/models", get(server::models))
        .route("/v1/models/{id}", get(server::model))
        .route("/tokenizer_info", get(server::tokenizer_info))
        .route("/tokenize", post(server::tokenize))
        .route("/detokenize", post(server::detokenize))
        .route("/health", get(server::health))
        .route("/health/ready", get(server::ready))
        .route("/metrics", get(server::metrics))
        .route("/version", get(server::version))
        .route("/openapi.json", get(openapi::document))
        .merge(page::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(max_body))
        .layer(middleware::from_fn_with_state(service.clone(), guard::check))
        .layer(CatchPanicLayer::new())
        .with_state(service)
}

async fn not_found(request: Request) -> ApiError {
    let (method, path) = (request.method(), request.uri().path());
    ApiError::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {method} {path}; try /v1/chat/completions"))
}

async fn method_not_allowed(request: Request) -> ApiError {
    let (method, path) = (request.method(), request.uri().path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("{path} does not take {method}"))
}

/// Reads the body of a request.
fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, ApiError> {
    body.map(|Json(body)| body).map_err(|rejection| {
        let status = rejection.status();
        // What is no JSON, and JSON of another shape, are the same to clients of this interface.
        let status = if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
        ApiError::new(status, "invalid_body", rejection.body_text())
    })
}
