//! What every request passes: its id, the name it was sent to, and its key.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CACHE_CONTROL, HOST, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::{Instrument, field::Empty};

use super::{error::ApiError, page};
#[cfg(feature = "otlp")]
use crate::traces;
use crate::{engine::Owner, service::Shared};

/// Who sent a request.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// The id of the request, its own or a new one.
    pub(super) id: String,
    /// The owner of its key.
    pub(super) owner: Owner,
}

const X_REQUEST_ID: &str = "x-request-id";

/// Paths that need no key, besides those of the page.
const OPEN: [&str; 3] = ["/health", "/health/ready", "/metrics"];

/// Checks a request, gives its id back with the response, and counts it.
pub(super) async fn check(State(service): State<Shared>, mut request: Request, next: Next) -> Response {
    let (start, method) = (Instant::now(), request.method().clone());
    let id = request_id(&service, request.headers());
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    // What is logged of the request, and of its jobs, is logged within its span.
    let span = tracing::info_span!("request", request_id = id, otel.name = Empty, otel.kind = Empty);
    #[cfg(feature = "otlp")]
    traces::begin(&span, &request, &path);
    let names = if service.options.is_local { check_names(request.headers()) } else { Ok(()) };
    let owner = names.and_then(|()| owner(&service, request.headers(), request.uri().path()));
    let mut response = match owner {
        Ok(owner) => {
            request.extensions_mut().insert(Client { id: id.clone(), owner });
            next.run(request).instrument(span.clone()).await
        }
        Err(error) => error.into_response(),
    };
    let status = response.status().as_u16();
    service.metrics.responded(&path, status);
    // Until the head of the response; a stream goes on.
    let seconds = start.elapsed().as_secs_f64();
    tracing::info!(parent: &span, %method, path, status, seconds, "response");
    #[cfg(feature = "otlp")]
    traces::end(&span, status);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn request_id(service: &Shared, headers: &HeaderMap) -> String {
    let given = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_sane = |id: &&str| !id.is_empty() && id.len() <= 128 && id.chars().all(|c| c.is_ascii_graphic());
    match given.filter(is_sane) {
        Some(id) => id.to_owned(),
        None => format!("{:x}-{}", service.started, service.next_request()),
    }
}

/// Refuses names that are not of this machine, under which a page of another site could reach a local server.
fn check_names(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_local = |name: &str| {
        let name = name.rsplit_once("://").map_or(name, |(_, name)| name);
        let host = if name.starts_with('[') {
            name.split_inclusive(']').next().unwrap_or_default()
        } else {
            name.split(':').next().unwrap_or_default()
        };
        ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    };
    for header in [HOST, ORIGIN] {
        let name = headers.get(&header).map(|name| name.to_str().unwrap_or_default());
        if let Some(name) = name.filter(|name| !is_local(name)) {
            let message = format!("{header} {name} is not this machine; the server was started for this machine alone");
            return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden_host", message));
        }
    }
    Ok(())
}

/// Returns the owner of a request's key, unless its requests are too many.
fn owner(service: &Shared, headers: &HeaderMap, path: &str) -> Result<Owner, ApiError> {
    let keys = &service.options.keys;
    if keys.is_empty() || OPEN.contains(&path) || page::has(path) {
        return Ok(None);
    }
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(owner) = given.and_then(|key| keys.owner(key.trim())) else {
        let message = "the key is missing or unknown; send it as Authorization: Bearer KEY";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message));
    };
    if let Some(limit) = owner.requests_per_minute {
        service.rates.take(&owner.name, limit, Instant::now()).map_err(|wait| {
            service.metrics.rejected("rate_limited");
            let message = format!("{limit} requests a minute are allowed with this key");
            let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
            ApiError { retry_after: Some(wait.as_secs_f64().ceil() as u64), ..error }
        })?;
    }
    Ok(Some(Arc::clone(&owner.name)))
}
