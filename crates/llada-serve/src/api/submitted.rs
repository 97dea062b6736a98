//! The generations that were accepted for a request, under the id of the request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{
    error::ApiError,
    frame::{Frame, Shape},
    guard::Client,
    jobs,
    sampling::Prepared,
};
use crate::{
    engine::{Reader, Ticket},
    service::Shared,
};

/// The generations of a request. They are cancelled when the last reference is dropped.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(super) frame: Frame,
    pub(super) client: Client,
    tickets: Vec<Ticket>,
}

impl Submitted {
    pub(super) async fn new(
        service: Shared,
        shape: Shape,
        client: Client,
        prepared: Prepared,
    ) -> Result<Arc<Self>, ApiError> {
        let Prepared { requests, deadline, .. } = prepared;
        let mut tickets = Vec::with_capacity(requests.len());
        for request in requests {
            tickets.push(jobs::submit(&service, &client, request, deadline).await?);
        }
        let frame = Frame::new(service, shape, &client.id, prepared.told);
        let submitted = Arc::new(Self { frame, client, tickets });
        submitted.frame.service.submissions.insert(&submitted);
        Ok(submitted)
    }

    /// Returns the number of answers.
    pub(super) fn count(&self) -> usize {
        self.tickets.len()
    }

    /// Returns a reader of the events of an answer, from the first one on.
    pub(super) fn reader(&self, index: usize) -> Reader {
        self.tickets[index].reader()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.tickets.iter().all(Ticket::has_ended)
    }

    pub(super) fn cancel(&self) {
        self.tickets.iter().for_each(Ticket::cancel);
    }
}

/// The requests that are still being answered, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Submissions(Mutex<BTreeMap<String, Weak<Submitted>>>);

impl Submissions {
    fn insert(&self, submitted: &Arc<Submitted>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, other| other.strong_count() > 0);
        all.insert(submitted.client.id.clone(), Arc::downgrade(submitted));
    }

    /// Returns the generations of a request, to the owner of the key that it came with.
    pub(super) fn get(&self, id: &str, client: &Client) -> Result<Arc<Submitted>, ApiError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.get(id).and_then(Weak::upgrade);
        found.filter(|submitted| submitted.client.owner == client.owner).ok_or_else(|| {
            let message = format!("there is no request {id:?}, or its answer is complete");
            ApiError::new(axum::http::StatusCode::NOT_FOUND, "not_found", message)
        })
    }
}
