//! The events of a job as a log, which any number of readers follow at their own pace.
//!
//! The engine appends and never waits. A reader that is slow, or that comes late, finds everything from the first event on;
//! the log has at most one entry for each step.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use llada::{Generation, Growth, Score, TraceStep};
use tokio::sync::watch;

/// An event of a job.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A generation has left the queue, with these ids of prompt and answer.
    Started { canvas: Vec<u32> },
    /// A generation took a step, whose positions are those after the growth.
    Step {
        step: TraceStep,
        growth: Option<Growth>,
        /// The length of the prefix of the canvas, prompt included, that no later step can change.
        settled: usize,
    },
    /// The answer is complete. Nothing follows.
    Finished(Box<Finish>),
    /// The options are scored. Nothing follows.
    Scored { scores: Vec<Score>, times: Times },
    /// The job failed. Nothing follows.
    Failed(Failure),
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Finish {
    pub(crate) generation: Generation,
    /// The number of answer tokens before the first end of the text or of a turn.
    pub(crate) completion_tokens: usize,
    /// True if the answer is over: such an end, or a stop text, is in it.
    pub(crate) has_ended: bool,
    /// True if the answer was hurried by its deadline.
    pub(crate) is_hurried: bool,
    pub(crate) times: Times,
}

/// How long a job took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    /// The time before the first step.
    pub(crate) queued: Duration,
    /// The time from then to the last step.
    pub(crate) ran: Duration,
}

/// Why a job has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Model(String),
    #[error("the generation was cancelled")]
    Cancelled,
    #[error("the deadline passed before the request had its turn")]
    Expired,
}

impl Entry {
    /// Returns true if nothing follows.
    pub(crate) fn is_last(&self) -> bool {
        !matches!(self, Self::Started { .. } | Self::Step { .. })
    }
}

/// The events of one job.
#[derive(Debug)]
pub(crate) struct Log {
    entries: RwLock<Vec<Arc<Entry>>>,
    length: watch::Sender<usize>,
}

impl Default for Log {
    fn default() -> Self {
        Self { entries: RwLock::default(), length: watch::Sender::new(0) }
    }
}

impl Log {
    pub(super) fn push(&self, entry: Entry) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.push(Arc::new(entry));
        self.length.send_replace(entries.len());
    }

    pub(super) fn has_ended(&self) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.last().is_some_and(|entry| entry.is_last())
    }

    /// Returns a reader, which starts at the first event.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        Reader { log: Arc::clone(self), length: self.length.subscribe(), next: 0 }
    }
}

/// A reader of a [`Log`].
#[derive(Debug)]
pub(crate) struct Reader {
    log: Arc<Log>,
    length: watch::Receiver<usize>,
    next: usize,
}

impl Reader {
    /// Returns the next event, once there is one; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Arc<Entry>> {
        loop {
            {
                let entries = self.log.entries.read().unwrap_or_else(PoisonError::into_inner);
                if let Some(entry) = entries.get(self.next) {
                    self.next += 1;
                    return Some(Arc::clone(entry));
                }
                if entries.last().is_some_and(|entry| entry.is_last()) {
                    return None;
                }
            }
            let next = self.next;
            self.length.wait_for(|&length| length > next).await.ok()?;
        }
    }
}
