//! Traces of requests for a collector of OpenTelemetry: OTLP over HTTP, in protobuf.
//!
//! A request is a span of the kind *server*, whose parent is that of its `traceparent` header
//! ([W3C Trace Context](https://www.w3.org/TR/trace-context/)). It lasts until its jobs have ended, which are the spans below it.

use std::time::Duration;

use axum::{body::Bytes, extract::Request};
use opentelemetry::{
    KeyValue,
    propagation::TextMapPropagator,
    trace::{Status, TracerProvider},
};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, registry::LookupSpan};
use ureq::Agent;

/// The time for an export, the default of OTLP.
const EXPORT_TIME: Duration = Duration::from_secs(10);

/// The export of spans to a collector. What is still to be sent is sent when it is dropped.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

/// The variables of the environment describe no collector that spans can be exported to.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be exported: {0}")]
pub struct TracesError(#[from] ExporterBuildError);

impl Traces {
    /// Starts to export spans as the
    /// [variables of OpenTelemetry](https://opentelemetry.io/docs/specs/otel/protocol/exporter/) say, first of all
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` and `OTEL_SERVICE_NAME`.
    ///
    /// # Errors
    /// If a variable has a value that cannot be honoured.
    pub fn from_environment() -> Result<Self, TracesError> {
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(EXPORT_TIME));
        let client = Client(config.build().into());
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_attribute(version).build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        Ok(Self { provider })
    }

    /// Returns the layer of a subscriber that hands its spans to the exporter.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let tracer = self.provider.tracer(env!("CARGO_PKG_NAME"));
        tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

/// Tells whose part the span of a request is, and what is asked for. `route` is the pattern of its path.
pub(crate) fn begin(span: &Span, request: &Request, route: &str) {
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
    if span.set_parent(parent).is_err() {
        // Spans are not exported.
        return;
    }
    span.record("otel.name", format!("{} {route}", request.method()));
    span.record("otel.kind", "server");
    span.set_attribute("http.request.method", request.method().to_string());
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("url.path", request.uri().path().to_owned());
}

/// Tells the status of a response.
pub(crate) fn end(span: &Span, status: u16) {
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// Sends spans with the HTTP client that the workspace has already, from the exporter's own thread.
#[derive(Debug)]
struct Client(Agent);

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: axum::http::Request<Bytes>) -> Result<axum::http::Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let response = self.0.run(axum::http::Request::from_parts(head, &body[..]))?;
        let (head, mut body) = response.into_parts();
        Ok(axum::http::Response::from_parts(head, body.read_to_vec()?.into()))
    }
}
