//! Chat completions and completions: one way to answer, whole or as a stream, in two shapes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::{
    Json,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    answer::Usage,
    chunks::{Choice, Chunk, View, cancelled},
    error::ApiError,
    frame::{Frame, Shape},
    sampling::{Prepared, StreamOptions},
};
use crate::{
    engine::{Entry, Ticket},
    service::Shared,
};

/// Submits requests and answers them as a whole.
pub(crate) async fn whole(service: Shared, shape: Shape, id: &str, prepared: Prepared) -> Result<Response, ApiError> {
    let (frame, tickets) = submit(service, shape, id, prepared).await?;
    let (mut choices, mut usage) = (Vec::new(), Usage::default());
    let mut diffusion = Vec::new();
    for (index, ticket) in tickets.iter().enumerate() {
        let mut reader = ticket.reader();
        while let Some(entry) = reader.next().await {
            match &*entry {
                Entry::Started { .. } | Entry::Step { .. } => (),
                Entry::Finished(finish) => {
                    let answer = frame.answer(finish)?;
                    let text = frame.settled().finish(&finish.generation.output)?;
                    choices.push(shape.choice(index, &text, Some(answer.finish_reason)));
                    usage.add(answer.usage);
                    diffusion.push(answer.diffusion(frame.seed.wrapping_add(index as u64)));
                }
                Entry::Failed(message) => return Err(ApiError::failed(message)),
                Entry::Cancelled => return Err(cancelled()),
            }
        }
    }
    let diffusion = if diffusion.len() == 1 { diffusion.remove(0) } else { diffusion.into() };
    Ok(Json(frame.object(false, choices, json!({"usage": usage.json(), "diffusion": diffusion}))).into_response())
}

/// Submits requests and answers them as a stream of chunks.
pub(crate) async fn streamed(
    service: Shared,
    shape: Shape,
    id: &str,
    prepared: Prepared,
    options: StreamOptions,
    is_diffusing: bool,
) -> Result<Response, ApiError> {
    let prompt_length = prepared.requests.first().map_or(0, |request| request.prompt.len());
    let (frame, tickets) = submit(service, shape, id, prepared).await?;
    let view = View { has_steps: options.include_diffusion, is_diffusing };
    let mut choices = Vec::new();
    for (index, ticket) in tickets.into_iter().enumerate() {
        let choice = Choice::new(index, ticket, prompt_length, frame.clone(), view);
        choices.push(choice.chunks().boxed());
    }
    let last = frame.clone();
    let include_usage = options.include_usage;
    let chunks = stream::select_all(choices).chain(stream::once(async { Chunk::End })).scan(
        Usage::default(),
        move |usage, chunk| {
            let events = match chunk {
                Chunk::Event(value) => vec![data(&value)],
                Chunk::Usage(of_choice) => {
                    usage.add(of_choice);
                    Vec::new()
                }
                Chunk::End => {
                    let mut events = Vec::new();
                    if include_usage {
                        events.push(data(&last.object(true, Vec::new(), json!({"usage": usage.json()}))));
                    }
                    events.push(Ok(Event::default().data("[DONE]")));
                    events
                }
            };
            std::future::ready(Some(stream::iter(events)))
        },
    );
    let mut response = Sse::new(chunks.flatten()).keep_alive(KeepAlive::default()).into_response();
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

fn data(value: &Value) -> Result<Event, std::convert::Infallible> {
    Ok(Event::default().data(value.to_string()))
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

async fn submit(service: Shared, shape: Shape, id: &str, prepared: Prepared) -> Result<(Frame, Vec<Ticket>), ApiError> {
    let Prepared { requests, stops, seed, deadline, has_trace } = prepared;
    let mut tickets = Vec::with_capacity(requests.len());
    for request in requests {
        let ticket = service.engine.submit(request, deadline).await;
        tickets.push(ticket.inspect_err(|_| count(&service.metrics.rejected))?);
    }
    let id = format!("{}-{id}", shape.prefix());
    Ok((Frame { service, shape, id, stops: Arc::new(stops), seed, has_trace }, tickets))
}
