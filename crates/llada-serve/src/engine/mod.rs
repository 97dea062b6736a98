//! The engine behind the server: one thread that owns the model and advances all jobs, and the handle through which requests
//! reach it.

mod limits;
mod log;
mod shares;
mod worker;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    time::{Duration, Instant},
};

use llada::{InferError, Job, Model};
use tokio::sync::oneshot;

pub use limits::EngineLimits;
use log::Log;
pub(crate) use log::{Entry, Failure, Finish, Reader, Times};
pub(crate) use shares::Owner;
use worker::{Command, Submission, Worker};

use crate::metrics::Metrics;

/// Why the engine does not take a job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Invalid(#[from] InferError),
    #[error("the caches of this request need {needed} bytes, of which the server has {limit}")]
    TooLarge { needed: usize, limit: usize },
    #[error("the queue is full: {running} requests are running and {waiting} are waiting")]
    QueueFull { running: usize, waiting: usize, retry_after: Duration },
    #[error("the server is shutting down")]
    Draining,
    #[error("the engine has stopped")]
    Stopped,
}

/// The state of the engine, as a balancer sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
}

/// A handle of the engine's thread. Clones refer to the same thread, which ends when the last of them is dropped.
#[derive(Debug, Clone)]
pub(crate) struct EngineHandle {
    commands: Sender<Command>,
    next_id: Arc<AtomicU64>,
}

/// A job that was accepted. When it is dropped, the job is cancelled unless it has ended.
#[derive(Debug)]
pub(crate) struct Ticket {
    id: u64,
    log: Arc<Log>,
    commands: Sender<Command>,
}

impl EngineHandle {
    /// Starts the thread of the engine.
    pub(crate) fn start(model: Model, limits: EngineLimits, metrics: Arc<Metrics>) -> Self {
        let (commands, received) = channel();
        std::thread::spawn(move || Worker::new(model, limits, metrics, received).run());
        Self { commands, next_id: Arc::default() }
    }

    /// Submits a job. `deadline` is when it has to be complete, in fewer forwards if need be.
    ///
    /// # Errors
    /// If the job is impossible, the queue is full, or the engine takes no jobs any more.
    pub(crate) async fn submit(&self, job: Job, owner: Owner, deadline: Option<Instant>) -> Result<Ticket, Refusal> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let log = Arc::new(Log::default());
        let (reply, answer) = oneshot::channel();
        let (span, submitted) = (tracing::info_span!("job", id), Instant::now());
        let submission = Submission { id, job, owner, log: Arc::clone(&log), deadline, submitted, span };
        self.commands.send(Command::Submit(Box::new(submission), reply)).map_err(|_| Refusal::Stopped)?;
        answer.await.map_err(|_| Refusal::Stopped)??;
        Ok(Ticket { id, log, commands: self.commands.clone() })
    }

    /// Returns the number of running and waiting jobs. The answer comes between two steps, so it also tells that the engine
    /// is alive.
    pub(crate) async fn load(&self) -> Option<Load> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Load(reply)).ok()?;
        answer.await.ok()
    }

    /// Takes no jobs any more, and hurries the accepted ones to be complete within `time`; after it they are cancelled.
    pub(crate) fn drain(&self, time: Duration) {
        // If the thread has ended, there is nothing to complete.
        let _ = self.commands.send(Command::Drain(Instant::now() + time));
    }
}

impl Ticket {
    /// Returns a reader of the job's events, from the first one on.
    pub(crate) fn reader(&self) -> Reader {
        self.log.reader()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.log.has_ended()
    }

    pub(crate) fn cancel(&self) {
        // If the thread has ended, the job has too.
        let _ = self.commands.send(Command::Cancel(self.id));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.cancel();
        }
    }
}
