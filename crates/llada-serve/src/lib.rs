//! An HTTP server for masked diffusion language models, with the interface of OpenAI's.
//!
//! One thread owns the model and advances all generations step by step: requests join and leave between steps, and each
//! gets the answer that it would get alone. What happens in a generation is a log that any number of readers follow at their own
//! pace, so a slow client holds up nobody.
//!
//! ```no_run
//! use llada::Model;
//! use llada_serve::{ServeOptions, Service, serve};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let service = Service::new(Model::open("models/llada-tiny")?, ServeOptions::default())?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//! serve(listener, service, std::time::Duration::from_secs(30), async { () }).await?;
//! # Ok(())
//! # }
//! ```

mod api;
mod engine;
mod keys;
mod metrics;
mod service;
mod settled;

use std::{future::Future, io, time::Duration};

use tokio::net::TcpListener;

pub use api::{ApiError, router};
pub use engine::EngineLimits;
pub use keys::{Keys, KeysError};
pub use service::{ServeOptions, Service};

/// Serves a model until `shutdown` is ready. Then no requests are taken any more, and the running ones are hurried to a
/// complete answer within `drain_timeout`. Until they are, new requests are answered with status 503; then the listener is
/// closed.
///
/// # Errors
/// If connections cannot be accepted.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    drain_timeout: Duration,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let drained = service.clone();
    let graceful = axum::serve(listener, router(service)).with_graceful_shutdown(async move {
        shutdown.await;
        drained.drain(drain_timeout);
        drained.wait_until_idle().await;
    });
    graceful.await
}
