//! What is told of requests while they are served: lines on stderr, and traces for a collector of OpenTelemetry.

use std::io::{IsTerminal, stderr};

#[cfg(feature = "otlp")]
use crate::exit::usage;
use tracing_subscriber::{
    Layer, Registry, filter::LevelFilter, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

/// How requests are logged.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// A line for people
    Text,
    /// A JSON object a line
    Json,
    /// Not at all
    None,
}

/// The variables of OpenTelemetry that name a collector.
const COLLECTOR: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

#[cfg(feature = "otlp")]
pub(super) type Traces = llada_serve::Traces;
#[cfg(not(feature = "otlp"))]
pub(super) type Traces = std::convert::Infallible;

impl LogFormat {
    /// Starts to log, and to export traces if the environment names a collector. They are exported until what is returned is
    /// dropped.
    pub(super) fn start(self) -> anyhow::Result<Option<Traces>> {
        let collector =
            COLLECTOR.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        let traces = collector.map(traces).transpose()?.flatten();
        let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = Vec::new();
        let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_target(false);
        match self {
            Self::Text => layers.push(lines.compact().with_ansi(stderr().is_terminal()).boxed()),
            Self::Json => layers.push(lines.json().boxed()),
            Self::None => (),
        }
        #[cfg(feature = "otlp")]
        layers.extend(traces.as_ref().map(|traces| traces.layer().boxed()));
        registry().with(layers).with(LevelFilter::INFO).init();
        Ok(traces)
    }
}

#[cfg(feature = "otlp")]
fn traces(_: &str) -> anyhow::Result<Option<Traces>> {
    Traces::from_environment().map(Some).map_err(|error| usage(error.to_string()))
}

#[cfg(not(feature = "otlp"))]
fn traces(collector: &str) -> anyhow::Result<Option<Traces>> {
    eprintln!(
        "warning: {collector} is set, and this llada exports no traces\nhint: cargo build --release -p llada-cli --features otlp"
    );
    Ok(None)
}
