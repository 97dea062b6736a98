//! The thread that owns the model.

mod running;
mod schedule;

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use llada::{Ends, Job, JobId, Model};
use tokio::sync::oneshot;
use tracing::Span;

use super::{
    EngineLimits, Load, Refusal,
    log::{Entry, Failure, Log},
    shares::{Owner, Shares},
};
use crate::metrics::Metrics;
use running::Running;

/// The weight of the last step in the mean time of steps.
const EWMA: f64 = 0.1;

/// A job on its way to the engine.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) id: u64,
    pub(super) job: Job,
    pub(super) owner: Owner,
    pub(super) log: Arc<Log>,
    pub(super) deadline: Option<Instant>,
    pub(super) submitted: Instant,
    pub(super) span: Span,
}

#[derive(Debug)]
pub(super) enum Command {
    Submit(Box<Submission>, oneshot::Sender<Result<(), Refusal>>),
    Cancel(u64),
    Load(oneshot::Sender<Load>),
    Drain(Instant),
}

/// A job that waits for its turn.
struct Waiting {
    submission: Submission,
    /// The memory that its caches need.
    bytes: usize,
}

pub(super) struct Worker {
    model: Model,
    /// The model's, beside which its engine can advance.
    ends: Ends,
    limits: EngineLimits,
    metrics: Arc<Metrics>,
    commands: Receiver<Command>,
    running: BTreeMap<JobId, Running>,
    /// In the order of their arrival.
    waiting: Vec<Waiting>,
    shares: Shares,
    /// When the accepted jobs have to be done, if no more are taken.
    draining: Option<Instant>,
    turn: u64,
    /// The mean time of a step of one job, in seconds: its share, if others take theirs with it.
    step_seconds: f64,
    /// The mean time of a job, in seconds.
    run_seconds: f64,
    /// Whether it was logged that there are no CUDA graphs.
    is_without_graphs: bool,
}

impl Worker {
    pub(super) fn new(model: Model, limits: EngineLimits, metrics: Arc<Metrics>, commands: Receiver<Command>) -> Self {
        Self {
            ends: model.ends().clone(),
            model,
            limits,
            metrics,
            commands,
            running: BTreeMap::new(),
            waiting: Vec::new(),
            shares: Shares::default(),
            draining: None,
            turn: 0,
            step_seconds: 0.0,
            run_seconds: 0.0,
            is_without_graphs: false,
        }
    }

    /// Works until every handle is gone.
    pub(super) fn run(mut self) {
        loop {
            if self.running.is_empty() && self.waiting.is_empty() {
                let Ok(command) = self.commands.recv() else { return };
                self.take(command);
            }
            while let Ok(command) = self.commands.try_recv() {
                self.take(command);
            }
            self.expire();
            self.start_waiting();
            self.keep_deadlines();
            self.step();
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Submit(submission, reply) => {
                let checked = self.check(&submission);
                let bytes = checked.as_ref().ok().copied();
                // A client that is gone before it is answered is as if it had never asked.
                if reply.send(checked.map(drop)).is_ok()
                    && let Some(bytes) = bytes
                {
                    self.shares.join(&submission.owner);
                    self.waiting.push(Waiting { submission: *submission, bytes });
                }
            }
            Command::Cancel(id) => self.end(id, &Failure::Cancelled),
            Command::Load(reply) => {
                let _ = reply.send(Load { running: self.running.len(), waiting: self.waiting.len() });
            }
            Command::Drain(until) => self.draining = Some(until),
        }
    }

    /// Checks a job, and returns the memory that its caches need.
    fn check(&self, submission: &Submission) -> Result<usize, Refusal> {
        if self.draining.is_some() {
            return Err(Refusal::Draining);
        }
        let (needed, limit) = (self.model.engine().quote(&submission.job)?.kept_bytes, self.limits.max_cache_bytes);
        if needed > limit {
            return Err(Refusal::TooLarge { needed, limit });
        }
        let (running, waiting) = (self.running.len(), self.waiting.len());
        if running + waiting < self.limits.max_running.get() + self.limits.max_queue {
            return Ok(needed);
        }
        let turns = waiting as f64 / self.limits.max_running.get() as f64;
        let seconds = (turns * self.run_seconds).clamp(1.0, 120.0).ceil();
        Err(Refusal::QueueFull { running, waiting, retry_after: Duration::from_secs_f64(seconds) })
    }

    /// Ends a job before it is done.
    fn end(&mut self, id: u64, failure: &Failure) {
        let (owner, log, span) =
            if let Some(place) = self.waiting.iter().position(|waiting| waiting.submission.id == id) {
                let Submission { owner, log, span, .. } = self.waiting.remove(place).submission;
                (owner, log, span)
            } else if let Some((&job, _)) = self.running.iter().find(|(_, running)| running.id == id)
                && let Some(Running { owner, log, span, .. }) = self.running.remove(&job)
            {
                self.model.engine_mut().cancel(job);
                (owner, log, span)
            } else {
                return;
            };
        self.shares.leave(&owner);
        self.metrics.ended_early(failure);
        tracing::info!(parent: &span, reason = %failure, "ended early");
        log.push(Entry::Failed(failure.clone()));
    }

    /// Ends the waiting jobs whose deadline has passed, and all jobs once the time to drain is over.
    fn expire(&mut self) {
        let now = Instant::now();
        let late = |waiting: &Waiting| waiting.submission.deadline.is_some_and(|deadline| deadline <= now);
        let late: Vec<u64> =
            self.waiting.iter().filter(|waiting| late(waiting)).map(|waiting| waiting.submission.id).collect();
        late.into_iter().for_each(|id| self.end(id, &Failure::Expired));
        if self.draining.is_some_and(|until| until <= now) {
            let waiting = self.waiting.iter().map(|waiting| waiting.submission.id);
            let all: Vec<u64> = waiting.chain(self.running.values().map(|running| running.id)).collect();
            all.into_iter().for_each(|id| self.end(id, &Failure::Cancelled));
        }
    }

    /// Returns the share of the queue's places that are taken.
    fn queue_fill(&self) -> f32 {
        self.waiting.len() as f32 / self.limits.max_queue.max(1) as f32
    }

    /// Takes a step, and tells the readers of the jobs what came of it.
    fn step(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let start = Instant::now();
        let load = self.queue_fill();
        self.model.engine_mut().set_load(load);
        let chosen = self.choose();
        let mut ended = Vec::new();
        let Self { model, ends, running, metrics, .. } = self;
        model.engine_mut().advance(&chosen, |job, event| {
            let Some(running) = running.get_mut(&job) else { return };
            let is_last = running.record(event, ends, metrics);
            ended.extend(is_last.then_some(job));
        });
        if let Some(error) = model.engine().predictor().graph_failure()
            && !std::mem::replace(&mut self.is_without_graphs, true)
        {
            tracing::warn!(%error, "no CUDA graph could be recorded, kernels are launched one by one");
        }
        metrics.stepped(start.elapsed(), chosen.len());
        mix(&mut self.step_seconds, start.elapsed() / chosen.len().max(1) as u32);
        for job in ended {
            if let Some(running) = self.running.remove(&job) {
                self.shares.leave(&running.owner);
                mix(&mut self.run_seconds, running.started.elapsed());
            }
        }
    }
}

/// Whatever ends the thread, a panic of the network included, nobody waits for it in vain.
impl Drop for Worker {
    fn drop(&mut self) {
        let waiting = self.waiting.iter().map(|waiting| &waiting.submission.log);
        for log in waiting.chain(self.running.values().map(|running| &running.log)) {
            log.push(Entry::Failed(Failure::Model("the engine has stopped".to_owned())));
        }
    }
}

/// Mixes a new time into a mean.
fn mix(mean: &mut f64, time: Duration) {
    let seconds = time.as_secs_f64();
    *mean = if *mean == 0.0 { seconds } else { (1.0 - EWMA) * *mean + EWMA * seconds };
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, path::Path, sync::mpsc::channel};

    use llada::{Request, SamplerConfig};

    use super::*;

    #[test]
    fn jobs_of_an_engine_that_ends_fail() {
        let model = Model::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/llada-tiny")).unwrap();
        let (_commands, received) = channel();
        let limits = EngineLimits { max_running: NonZeroUsize::MIN, max_queue: 4, ..EngineLimits::default() };
        let mut worker = Worker::new(model, limits, Arc::default(), received);
        let logs = [0, 1].map(|id| {
            let log = Arc::new(Log::default());
            let job = Request::new([0], SamplerConfig { gen_length: 8, ..SamplerConfig::default() }).into();
            let submitted = Instant::now();
            let (owner, deadline, span) = (None, None, Span::none());
            let submission = Submission { id, job, owner, log: Arc::clone(&log), deadline, submitted, span };
            worker.take(Command::Submit(Box::new(submission), oneshot::channel().0));
            log
        });
        // One of them runs, and the other waits.
        worker.start_waiting();
        assert_eq!(worker.queue_fill(), 0.25);
        drop(worker);
        assert_eq!(logs.map(|log| log.has_ended()), [true; 2]);
    }
}
