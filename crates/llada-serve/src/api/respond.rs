//! Responses to requests for text: whole, or as a stream.

use std::sync::Arc;

use axum::{
    Json,
    http::HeaderValue,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use super::{
    answer::{Answer, Usage},
    choice::{Choice, Chunk, View},
    error::ApiError,
    frame::Shape,
    guard::Client,
    jobs::outcome,
    sampling::{Prepared, Sampling},
    submitted::Submitted,
};
use crate::{engine::Entry, service::Shared};

/// The kind of response that a request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reply {
    is_streamed: bool,
    include_usage: bool,
    /// With `usage` in every chunk.
    has_running_usage: bool,
    view: View,
}

impl Reply {
    pub(super) fn of(sampling: &Sampling) -> Self {
        let options = sampling.stream_options.unwrap_or_default();
        let is_diffusing = sampling.diffusing;
        Self {
            is_streamed: sampling.is_streamed(),
            include_usage: options.include_usage,
            has_running_usage: options.continuous_usage_stats,
            view: View { has_steps: options.include_diffusion, is_diffusing },
        }
    }

    /// Submits the generations and responds with their answers.
    pub(super) async fn send(
        self,
        service: Shared,
        shape: Shape,
        client: Client,
        prepared: Prepared,
    ) -> Result<Response, ApiError> {
        let submitted = Submitted::new(service, shape, client, prepared).await?;
        if self.is_streamed { Ok(self.stream(&submitted)) } else { whole(&submitted).await }
    }

    fn stream(self, submitted: &Arc<Submitted>) -> Response {
        let mut choices = Vec::new();
        for index in 0..submitted.count() {
            choices.push(Choice::new(Arc::clone(submitted), index, self.view).chunks().boxed());
        }
        let frame = submitted.frame.clone();
        let chunks = stream::select_all(choices).chain(stream::once(async { Chunk::End }));
        let events = chunks.scan(Usage::default(), move |usage, chunk| {
            let mut events = Vec::new();
            match chunk {
                Chunk::Event(mut value) => {
                    if self.has_running_usage {
                        value["usage"] = usage.json();
                    }
                    events.push(data(&value));
                }
                Chunk::Usage(of_choice) => usage.add(of_choice),
                Chunk::End => {
                    if self.include_usage {
                        events.push(data(&frame.object(true, Vec::new(), json!({"usage": usage.json()}))));
                    }
                    events.push(Event::default().data("[DONE]"));
                }
            }
            std::future::ready(Some(stream::iter(events)))
        });
        server_sent_events(events.flatten())
    }
}

async fn whole(submitted: &Arc<Submitted>) -> Result<Response, ApiError> {
    let frame = &submitted.frame;
    let (mut choices, mut usage) = (Vec::new(), Usage::default());
    let mut reports = Vec::new();
    for index in 0..submitted.count() {
        let answer = outcome(submitted.reader(index), |entry| match entry {
            Entry::Finished(finish) => Some(Answer::new(frame, finish, index)),
            _ => None,
        });
        let answer = answer.await??;
        choices.push(frame.choice(index, &answer));
        usage.add(answer.usage);
        reports.push(answer.report);
    }
    let report = if reports.len() == 1 { reports.remove(0) } else { reports.into() };
    Ok(Json(frame.object(false, choices, json!({"usage": usage.json(), "diffusion": report}))).into_response())
}

fn data(value: &Value) -> Event {
    Event::default().data(value.to_string())
}

/// Responds with a stream of events, with comments in between while there are none.
pub(super) fn server_sent_events(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let events = events.map(Ok::<_, std::convert::Infallible>);
    let mut response = Sse::new(events).keep_alive(KeepAlive::default()).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Does work, such as encoding a text or compiling a schema, where it blocks no other request.
pub(super) async fn blocking<T: Send + 'static>(
    service: &Shared,
    work: impl FnOnce(&Shared) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let service = Arc::clone(service);
    let done = tokio::task::spawn_blocking(move || work(&service)).await;
    done.map_err(|error| ApiError::failed(error.to_string()))?
}
