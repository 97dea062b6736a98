//! `/v1/diffusion/generate`: a generation as its events, which can be followed again after the connection was lost.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    body,
    error::ApiError,
    events::events,
    frame::Shape,
    gap::best,
    guard::Client,
    infill::{Part, canvases},
    messages::{self, ChatMessage},
    respond::{blocking, server_sent_events},
    sampling::{Canvas, Sampling},
    submitted::Submitted,
};
use crate::service::Shared;

/// How long a generation goes on without a reader, and its events can be read after its end.
const GRACE: Duration = Duration::from_secs(60);

/// The body of a request: one of the first four keys.
#[derive(Debug, Deserialize)]
pub(super) struct NativeRequest {
    prompt: Option<String>,
    prompt_ids: Option<Vec<u32>>,
    messages: Option<Vec<ChatMessage>>,
    template: Option<Vec<Part>>,
    #[serde(flatten)]
    sampling: Sampling,
}

/// What is to be answered.
enum Input {
    Text(String),
    Ids(Vec<u32>),
    Messages(Vec<ChatMessage>),
    Template(Vec<Part>),
}

impl Input {
    /// Returns the canvas, or several of different lengths.
    fn canvases(self, service: &Shared) -> Result<Vec<Canvas>, ApiError> {
        let prompt = match self {
            Self::Template(template) => return canvases(service, &template),
            Self::Text(text) => service.tokenizer.encode(&text).map_err(llada::Error::from)?,
            Self::Ids(ids) => ids,
            Self::Messages(messages) => messages::encode(service, &messages::read(messages)?)?,
        };
        Ok(vec![Canvas::appended_to(prompt)])
    }
}

pub(super) async fn generate(
    State(service): State<Shared>,
    Extension(client): Extension<Client>,
    request: Result<Json<NativeRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let NativeRequest { prompt, prompt_ids, messages, template, sampling } = body(request)?;
    sampling.check(&service)?;
    let inputs = [
        prompt.map(Input::Text),
        prompt_ids.map(Input::Ids),
        messages.map(Input::Messages),
        template.map(Input::Template),
    ];
    let mut inputs = inputs.into_iter().flatten();
    let (Some(input), None) = (inputs.next(), inputs.next()) else {
        let message = "one of prompt, prompt_ids, messages and template is needed";
        return Err(ApiError::invalid("invalid_parameter", "prompt", message));
    };
    let candidates = blocking(&service, move |service| input.canvases(service)).await?;
    let canvas = best(&service, &client, candidates).await?;
    let prepared = blocking(&service, move |service| sampling.prepare(service, canvas)).await?;
    if prepared.requests.len() != 1 {
        return Err(ApiError::invalid("invalid_parameter", "n", "a stream of events is of one answer: n is 1"));
    }
    let submitted = Submitted::new(service, Shape::Text, client, prepared).await?;
    tokio::spawn(keep(Arc::clone(&submitted)));
    Ok(server_sent_events(events(submitted, None)))
}

/// Keeps a generation for readers that come back.
async fn keep(submitted: Arc<Submitted>) {
    let mut last_read = Instant::now();
    while last_read.elapsed() < GRACE {
        sleep(GRACE / 60).await;
        // One reference is held here, and one by each reader.
        if Arc::strong_count(&submitted) > 1 {
            last_read = Instant::now();
        }
    }
}

/// Sends the events of a generation that come after the one that `Last-Event-ID` names.
pub(super) async fn resume(
    State(service): State<Shared>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let submitted = service.submissions.get(&id, &client)?;
    let last = headers.get("last-event-id").map(|last| last.to_str().ok().and_then(|last| last.parse().ok()));
    let Some(last) = last.map_or(Some(None), |last: Option<u64>| last.map(Some)) else {
        let message = "Last-Event-ID is no number of an event";
        return Err(ApiError::invalid("invalid_parameter", "Last-Event-ID", message));
    };
    Ok(server_sent_events(events(submitted, last)))
}

/// Cancels the generations of a request.
pub(super) async fn cancel(
    State(service): State<Shared>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let submitted = service.submissions.get(&id, &client)?;
    submitted.cancel();
    Ok((StatusCode::ACCEPTED, Json(json!({"id": id, "object": "generation", "cancelled": !submitted.has_ended()})))
        .into_response())
}
