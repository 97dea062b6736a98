//! The events of a generation as a log, which any number of readers follow at their own pace.
//!
//! The engine appends and never waits. A reader that is slow, or that comes late, finds everything from the first event on;
//! the log has at most one entry for each step.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use llada::{Generation, Growth, TraceStep};
use tokio::sync::watch;

/// An event of a generation.
#[derive(Debug)]
pub enum Entry {
    /// The generation has left the queue.
    Started {
        /// The ids of prompt and answer before the first step.
        canvas: Vec<u32>,
    },
    /// A step was taken.
    Step {
        /// The step; its positions are those after the growth.
        step: TraceStep,
        /// The masks that were inserted after the step.
        growth: Option<Growth>,
        /// The length of the prefix of the canvas, prompt included, that no later step can change.
        settled: usize,
    },
    /// The answer is complete. Nothing follows.
    Finished(Box<Finish>),
    /// The generation failed. Nothing follows.
    Failed(String),
    /// The generation was cancelled. Nothing follows.
    Cancelled,
}

/// A complete answer, and how long it took.
#[derive(Debug)]
pub struct Finish {
    /// The answer.
    pub generation: Generation,
    /// True if the answer was hurried by its deadline.
    pub is_hurried: bool,
    /// The time before the first step.
    pub queued: Duration,
    /// The time from the first step to the last.
    pub ran: Duration,
}

impl Entry {
    /// Returns true if nothing follows.
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Started { .. } | Self::Step { .. })
    }
}

/// The events of one generation.
#[derive(Debug)]
pub struct Log {
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

    pub(super) fn reader(self: &Arc<Self>) -> Reader {
        Reader { log: Arc::clone(self), length: self.length.subscribe(), next: 0 }
    }
}

/// A reader of a [`Log`].
#[derive(Debug)]
pub struct Reader {
    log: Arc<Log>,
    length: watch::Receiver<usize>,
    next: usize,
}

impl Reader {
    /// Returns the next event, once there is one; `None` after the last.
    pub async fn next(&mut self) -> Option<Arc<Entry>> {
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
