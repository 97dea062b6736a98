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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod api;
mod engine;
mod keys;
mod listen;
mod metrics;
mod rates;
mod service;
mod settled;
#[cfg(feature = "otlp")]
mod traces;

pub use api::{ApiError, router};
pub use engine::EngineLimits;
pub use keys::{Keys, KeysError};
pub use listen::serve;
pub use service::{ServeOptions, Service};
#[cfg(feature = "otlp")]
pub use traces::{Traces, TracesError};
