//! `/openapi.json`: the description of the interface for programs.

use axum::{http::header::CONTENT_TYPE, response::IntoResponse};

/// The document. Responses are built as JSON values, so it is written by hand; a test compares its paths with the routes,
/// and the clients' tests compare responses with its schemas.
const DOCUMENT: &str = include_str!("../../openapi.json");

pub(super) async fn document() -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "application/json")],
        DOCUMENT.replace("\"VERSION\"", concat!("\"", env!("CARGO_PKG_VERSION"), "\"")),
    )
}
