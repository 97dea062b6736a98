//! What every request passes: its id, the name it was sent to, and its key.

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::error::ApiError;
use crate::service::Shared;

/// The id of a request, its own or a new one.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

const X_REQUEST_ID: &str = "x-request-id";

/// Paths that need no key.
const OPEN: [&str; 3] = ["/health", "/health/ready", "/metrics"];

/// Checks a request, and gives its id back with the response.
pub(super) async fn check(State(service): State<Shared>, mut request: Request, next: Next) -> Response {
    let id = request_id(&service, request.headers());
    let checked = if service.options.is_local { check_names(request.headers()) } else { Ok(()) };
    let checked = checked.and_then(|()| check_key(&service, request.headers(), request.uri().path()));
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

fn request_id(service: &Shared, headers: &HeaderMap) -> String {
    let given = headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_sane = |id: &&str| !id.is_empty() && id.len() <= 128 && id.chars().all(|c| c.is_ascii_graphic());
    match given.filter(is_sane) {
        Some(id) => id.to_owned(),
        None => format!("{:x}-{}", service.created, service.next_request()),
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

fn check_key(service: &Shared, headers: &HeaderMap, path: &str) -> Result<(), ApiError> {
    let keys = &service.options.keys;
    if keys.is_empty() || OPEN.contains(&path) {
        return Ok(());
    }
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match given.and_then(|key| keys.owner(key.trim())) {
        Some(_) => Ok(()),
        None => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            "the key is missing or unknown; send it as Authorization: Bearer KEY",
        )),
    }
}
