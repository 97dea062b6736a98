//! `/v1/completions` and `/v1/fim/completions`: continue a text, or fill the gap between two.

use axum::{
    Extension, Json,
    extract::{State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    answer::Answer,
    body,
    echo::{self, Echo},
    error::ApiError,
    frame::{Frame, Shape},
    gap,
    guard::Client,
    respond::{Reply, blocking},
    sampling::{Canvas, Sampling, Told},
};
use crate::service::Shared;

/// The body of a request.
#[derive(Debug, Deserialize)]
pub(super) struct CompletionRequest {
    prompt: Prompt,
    suffix: Option<String>,
    echo: Option<bool>,
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
    fn encode(&self, service: &Shared) -> Result<Vec<u32>, ApiError> {
        match self {
            Self::Ids(ids) | Self::OfIds([ids]) => Ok(ids.clone()),
            Self::Text(text) | Self::OneText([text]) => {
                Ok(service.tokenizer.encode(text).map_err(llada::Error::from)?)
            }
        }
    }

    fn text(self, service: &Shared) -> Result<String, ApiError> {
        match self {
            Self::Ids(ids) | Self::OfIds([ids]) => {
                Ok(service.tokenizer.decode_with_special(&ids).map_err(llada::Error::from)?)
            }
            Self::Text(text) | Self::OneText([text]) => Ok(text),
        }
    }
}

pub(super) async fn complete(
    State(service): State<Shared>,
    Extension(client): Extension<Client>,
    request: Result<Json<CompletionRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let CompletionRequest { prompt, suffix, echo, sampling } = body(request)?;
    sampling.check(&service)?;
    let (reply, suffix) = (Reply::of(&sampling), suffix.filter(|suffix| !suffix.is_empty()));
    if echo == Some(true) {
        echo::check(&sampling, suffix.is_some())?;
        return complete_echoed(service, client, prompt, sampling).await;
    }
    let prepared = match suffix {
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

/// Responds with the prompt and what follows it.
async fn complete_echoed(
    service: Shared,
    client: Client,
    prompt: Prompt,
    sampling: Sampling,
) -> Result<Response, ApiError> {
    let (reply, top_logprobs) = (Reply::of(&sampling), sampling.top_logprobs()?);
    let (prompt, prepared) = blocking(&service, move |service| {
        let ids = prompt.encode(service)?;
        let prepared = if sampling.asks_for_none() {
            None
        } else {
            Some(sampling.prepare(service, Canvas::appended_to(ids.clone()))?)
        };
        Ok(((prompt.text(service)?, ids), prepared))
    })
    .await?;
    let echo = Echo::new(&service, &client, prompt, top_logprobs).await?;
    match prepared {
        Some(mut prepared) => {
            prepared.told.echo = Some(echo);
            reply.send(service, Shape::Text, client, prepared).await
        }
        None => {
            let answer = Answer::of_prompt(&service, &echo);
            let frame = Frame::new(service, Shape::Text, &client.id, Told::of_prompt(echo));
            let others = json!({"usage": answer.usage.json(), "diffusion": answer.report});
            Ok(Json(frame.object(false, vec![frame.choice(0, &answer)], others)).into_response())
        }
    }
}
