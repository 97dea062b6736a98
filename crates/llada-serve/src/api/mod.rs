//! The HTTP interface.

mod answer;
mod chunks;
mod constraint;
mod error;
mod fields;
mod frame;
mod generate;
mod guard;
mod sampling;
mod server;

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, Request, State, rejection::JsonRejection},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use llada::Message;
use serde::Deserialize;
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;

pub use error::ApiError;
use frame::Shape;
use sampling::Sampling;

use crate::service::{Service, Shared};
use guard::RequestId;

/// Returns the routes of a served model.
pub fn router(service: Service) -> Router {
    let service = service.0;
    let max_body = service.options.max_body;
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(complete))
        .route("/v1/models", get(server::models))
        .route("/v1/models/{id}", get(server::model))
        .route("/tokenize", post(server::tokenize))
        .route("/detokenize", post(server::detokenize))
        .route("/health", get(server::health))
        .route("/health/ready", get(server::ready))
        .route("/metrics", get(server::metrics))
        .route("/version", get(server::version))
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

/// The body of a chat completion.
#[derive(Debug, Deserialize)]
struct ChatRequest {
    messages: Vec<ChatMessage>,
    #[serde(flatten)]
    sampling: Sampling,
}

#[derive(Debug, Deserialize)]
struct ChatMessage {
    role: String,
    #[serde(default)]
    content: Option<Content>,
}

/// A text, or its parts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

impl ChatMessage {
    fn message(self, index: usize) -> Result<Message, ApiError> {
        // OpenAI's newer name of the same role.
        let role = if self.role == "developer" { "system".to_owned() } else { self.role };
        let text = match self.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                let mut text = String::new();
                for Part { kind, text: part } in parts {
                    let Some(part) = part.filter(|_| kind == "text") else {
                        let param = format!("messages[{index}].content");
                        let message = format!("a part of the type {kind:?} is not supported, only text is");
                        return Err(ApiError::invalid("unsupported_parameter", param, message));
                    };
                    text.push_str(&part);
                }
                text
            }
        };
        Ok(Message::new(role, text))
    }
}

async fn chat(
    State(service): State<Shared>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Result<Json<ChatRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let ChatRequest { messages, sampling } = body(request)?;
    sampling.check(&service)?;
    let messages = (0..).zip(messages).map(|(index, message)| message.message(index)).collect::<Result<Vec<_>, _>>()?;
    if messages.is_empty() {
        return Err(ApiError::invalid("invalid_parameter", "messages", "there are no messages"));
    }
    answer(service, Shape::Chat, id, sampling, move |service| {
        service.tokenizer.encode_chat(&messages).map_err(|error| ApiError::from(llada::Error::from(error)))
    })
    .await
}

/// The body of a completion.
#[derive(Debug, Deserialize)]
struct CompletionRequest {
    prompt: Prompt,
    suffix: Option<Value>,
    #[serde(flatten)]
    sampling: Sampling,
}

/// A text, or its token ids.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Ids(Vec<u32>),
    Texts([String; 1]),
}

async fn complete(
    State(service): State<Shared>,
    Extension(RequestId(id)): Extension<RequestId>,
    request: Result<Json<CompletionRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let CompletionRequest { prompt, suffix, sampling } = body(request)?;
    sampling.check(&service)?;
    if suffix.is_some_and(|suffix| !suffix.is_null()) {
        return Err(ApiError::invalid("unsupported_parameter", "suffix", "suffix is not supported"));
    }
    answer(service, Shape::Text, id, sampling, move |service| match prompt {
        Prompt::Ids(ids) => Ok(ids),
        Prompt::Text(text) | Prompt::Texts([text]) => {
            service.tokenizer.encode(&text).map_err(|error| ApiError::from(llada::Error::from(error)))
        }
    })
    .await
}

/// Answers a prompt, which is encoded where it blocks nobody.
async fn answer(
    service: Shared,
    shape: Shape,
    id: String,
    sampling: Sampling,
    encode: impl FnOnce(&Shared) -> Result<Vec<u32>, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let (is_streamed, is_diffusing) = (sampling.stream || sampling.diffusing, sampling.diffusing);
    let options = sampling.stream_options;
    let (service, prepared) = tokio::task::spawn_blocking(move || {
        let prepared = encode(&service).and_then(|prompt| sampling.prepare(&service, &prompt));
        (service, prepared)
    })
    .await
    .map_err(|error| ApiError::failed(error.to_string()))?;
    if is_streamed {
        generate::streamed(service, shape, &id, prepared?, options, is_diffusing).await
    } else {
        generate::whole(service, shape, &id, prepared?).await.map(IntoResponse::into_response)
    }
}
