//! Jobs of the engine on behalf of clients.

use std::time::Instant;

use llada::{Generation, Job, Request};

use super::{error::ApiError, guard::Client};
use crate::{
    engine::{Entry, Reader, Ticket},
    service::Shared,
};

/// Submits a job for a client, and counts it if it is refused.
pub(super) async fn submit(
    service: &Shared,
    client: &Client,
    job: impl Into<Job>,
    deadline: Option<Instant>,
) -> Result<Ticket, ApiError> {
    let ticket = service.engine.submit(job.into(), client.owner.clone(), deadline).await;
    ticket.map_err(ApiError::from).inspect_err(|error| service.metrics.rejected(error.code))
}

/// Waits for the end of a job, and returns what `read` finds in its result.
pub(super) async fn outcome<T>(mut reader: Reader, read: impl Fn(&Entry) -> Option<T>) -> Result<T, ApiError> {
    while let Some(entry) = reader.next().await {
        if let Entry::Failed(failure) = &*entry {
            return Err(failure.into());
        }
        if let Some(found) = read(&entry) {
            return Ok(found);
        }
    }
    Err(ApiError::failed("the engine has stopped"))
}

/// Runs a generation that a request needs before its answer.
pub(super) async fn generation(service: &Shared, client: &Client, request: Request) -> Result<Generation, ApiError> {
    let ticket = submit(service, client, request, None).await?;
    outcome(ticket.reader(), |entry| match entry {
        Entry::Finished(finish) => Some(finish.generation.clone()),
        _ => None,
    })
    .await
}
