//! `/v1/chat/completions`

use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
    response::Response,
};
use serde::Deserialize;

use super::{
    body,
    error::ApiError,
    frame::Shape,
    guard::Client,
    messages::{self, ChatMessage},
    respond::{Reply, blocking},
    sampling::{Canvas, Sampling},
    tools::Tools,
};
use crate::service::Shared;

/// The body of a request.
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    messages: Vec<ChatMessage>,
    #[serde(flatten)]
    tools: Tools,
    #[serde(flatten)]
    sampling: Sampling,
}

pub(super) async fn chat(
    State(service): State<Shared>,
    Extension(client): Extension<Client>,
    request: Result<Json<ChatRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let ChatRequest { messages, tools, sampling } = body(request)?;
    sampling.check(&service)?;
    let (messages, call) = tools.apply(&service, &client, messages::read(messages)?).await?;
    let reply = Reply::of(&sampling);
    let prepared = blocking(&service, move |service| {
        let prompt = messages::encode(service, &messages)?;
        sampling.prepare(service, Canvas { call, ..Canvas::appended_to(prompt) })
    })
    .await?;
    reply.send(service, Shape::Chat, client, prepared).await
}
