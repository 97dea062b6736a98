//! The engine behind the server: one thread that owns the model and advances all generations, and the handle through which
//! requests reach it.

mod log;
mod worker;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use llada::{InferError, Model, Request};
use tokio::sync::oneshot;

pub use log::{Entry, Finish, Log, Reader};
use worker::{Command, Submission, Worker};

/// How much the engine takes on.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// The number of generations that advance at the same time.
    pub max_running: NonZeroUsize,
    /// The number of generations that may wait for their turn.
    pub max_queue: usize,
    /// The number of tokens of a forward, of which one generation's may be more.
    pub max_step_tokens: usize,
    /// The longest time that a generation runs before it is hurried to its end.
    pub max_request_time: Duration,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            max_running: NonZeroUsize::new(4).unwrap_or(NonZeroUsize::MIN),
            max_queue: 256,
            // A processor computes rows one by one, so that a row a step is as fast as all of them, and fairer.
            max_step_tokens: 1,
            max_request_time: Duration::from_secs(600),
        }
    }
}

/// Why the engine does not take a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request is impossible.
    #[error(transparent)]
    Invalid(#[from] InferError),
    /// Too many requests wait.
    #[error("{waiting} requests are waiting")]
    QueueFull {
        /// The number of requests that wait.
        waiting: usize,
        /// When there may be room.
        retry_after: Duration,
    },
    /// The server is about to end.
    #[error("the server is shutting down")]
    Draining,
    /// The thread of the engine has ended.
    #[error("the engine has stopped")]
    Stopped,
}

/// The state of the engine, as a scheduler sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// The number of generations that advance.
    pub running: usize,
    /// The number of generations that wait.
    pub waiting: usize,
}

/// A handle of the engine's thread. Clones refer to the same thread, which ends when the last of them is dropped.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    commands: Sender<Command>,
    next_id: Arc<AtomicU64>,
}

/// A generation that was accepted. When it is dropped, the generation is cancelled unless it has ended.
#[derive(Debug)]
pub struct Ticket {
    id: u64,
    log: Arc<Log>,
    commands: Sender<Command>,
}

impl EngineHandle {
    /// Starts the thread of the engine.
    pub fn start(model: Model, limits: EngineLimits) -> (Self, JoinHandle<()>) {
        let (commands, received) = channel();
        let thread = std::thread::spawn(move || Worker::new(model, limits, received).run());
        (Self { commands, next_id: Arc::default() }, thread)
    }

    /// Submits a request. `deadline` is when its answer has to be complete, in fewer forwards if need be.
    ///
    /// # Errors
    /// If the request is impossible, the queue is full, or the engine takes no requests any more.
    pub async fn submit(&self, request: Request, deadline: Option<Instant>) -> Result<Ticket, Refusal> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let log = Arc::new(Log::default());
        let (reply, answer) = oneshot::channel();
        let submission =
            Submission { id, request: Box::new(request), log: Arc::clone(&log), deadline, submitted: Instant::now() };
        self.commands.send(Command::Submit(submission, reply)).map_err(|_| Refusal::Stopped)?;
        answer.await.map_err(|_| Refusal::Stopped)??;
        Ok(Ticket { id, log, commands: self.commands.clone() })
    }

    /// Returns the number of running and waiting generations. The answer comes between two steps, so it also tells that the
    /// engine is alive.
    pub async fn load(&self) -> Option<Load> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Load(reply)).ok()?;
        answer.await.ok()
    }

    /// Takes no requests any more, and hurries the accepted ones to be complete within `time`; after it they are cancelled.
    pub fn drain(&self, time: Duration) {
        let _ = self.commands.send(Command::Drain(Instant::now() + time));
    }
}

impl Ticket {
    /// Returns a reader of the generation's events, from the first one on.
    pub fn reader(&self) -> Reader {
        self.log.reader()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.log.has_ended() {
            let _ = self.commands.send(Command::Cancel(self.id));
        }
    }
}
