//! `/v1/completions` and `/v1/fim/completions`: continue a text, or fill the gap between two.

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
    gap,
    guard::Client,
    respond::{Reply, blocking},
    sampling::{Canvas, Sampling},
};
use crate::service::Shared;

/// The body of a request.
#[derive(Debug, Deserialize)]
pub(super) struct CompletionRequest {
    prompt: Prompt,
    suffix: Option<String>,
    #[serde(flatten)]
    sampling: Sampling,
}

/// A text, or its token ids.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Ids(Vec<u32>),
    OneText([String; 1]),
    OfIds([Vec<u32>; 1]),
}

impl Prompt {
    fn encode(self, service: &Shared) -> Result<Vec<u32>, ApiError> {
        match self {
            Self::Ids(ids) | Self::OfIds([ids]) => Ok(ids),
            Self::Text(text) | Self::OneText([text]) => {
                Ok(service.tokenizer.encode(&text).map_err(llada::Error::from)?)
            }
        }
    }
}

pub(super) async fn complete(
    State(service): State<Shared>,
    Extension(client): Extension<Client>,
    request: Result<Json<CompletionRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let CompletionRequest { prompt, suffix, sampling } = body(request)?;
    sampling.check(&service)?;
    let reply = Reply::of(&sampling);
    let prepared = match suffix.filter(|suffix| !suffix.is_empty()) {
        None => {
            blocking(&service, move |service| {
                let prompt = prompt.encode(service)?;
                sampling.prepare(service, Canvas::appended_to(prompt))
            })
            .await?
        }
        Some(suffix) => {
            let (texts, most) = blocking(&service, move |service| {
                let suffix = service.tokenizer.encode_part(&suffix).map_err(llada::Error::from)?;
                Ok(([prompt.encode(service)?, suffix], sampling))
            })
            .await?;
            gap::prepare(&service, &client, texts, most).await?
        }
    };
    reply.send(service, Shape::Text, client, prepared).await
}
