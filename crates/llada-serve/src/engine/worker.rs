//! The thread that owns the model.

use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use llada::{Event, JobId, Model, Request};
use tokio::sync::oneshot;

use super::{
    EngineLimits, Load, Refusal,
    log::{Entry, Finish, Log},
};

/// The weight of the last step in the mean time of steps.
const EWMA: f64 = 0.1;

/// A request on its way to the engine.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) id: u64,
    pub(super) request: Box<Request>,
    pub(super) log: Arc<Log>,
    pub(super) deadline: Option<Instant>,
    pub(super) submitted: Instant,
}

#[derive(Debug)]
pub(super) enum Command {
    Submit(Submission, oneshot::Sender<Result<(), Refusal>>),
    Cancel(u64),
    Load(oneshot::Sender<Load>),
    Drain(Instant),
}

/// A generation that advances.
struct Running {
    id: u64,
    log: Arc<Log>,
    deadline: Instant,
    is_hurried: bool,
    queued: Duration,
    started: Instant,
}

pub(super) struct Worker {
    model: Model,
    limits: EngineLimits,
    commands: Receiver<Command>,
    running: BTreeMap<JobId, Running>,
    waiting: VecDeque<Submission>,
    /// When the accepted requests have to be done, if no more are taken.
    draining: Option<Instant>,
    /// The mean time of a step, in seconds.
    step_seconds: f64,
    /// The mean time of a generation, in seconds.
    run_seconds: f64,
}

impl Worker {
    pub(super) fn new(model: Model, limits: EngineLimits, commands: Receiver<Command>) -> Self {
        Self {
            model,
            limits,
            commands,
            running: BTreeMap::new(),
            waiting: VecDeque::new(),
            draining: None,
            step_seconds: 0.0,
            run_seconds: 0.0,
        }
    }

    /// Works until every handle is gone.
    pub(super) fn run(mut self) {
        loop {
            if self.running.is_empty() && self.waiting.is_empty() {
                match self.commands.recv_timeout(Duration::from_secs(60)) {
                    Ok(command) => self.take(command),
                    Err(RecvTimeoutError::Timeout) => (),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            while let Ok(command) = self.commands.try_recv() {
                self.take(command);
            }
            self.start_waiting();
            self.keep_deadlines();
            self.step();
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Submit(submission, reply) => {
                let checked = self.check(&submission);
                let is_accepted = checked.is_ok();
                // A client that is gone before it is answered is as if it had never asked.
                if reply.send(checked).is_ok() && is_accepted {
                    self.waiting.push_back(submission);
                }
            }
            Command::Cancel(id) => self.cancel(id),
            Command::Load(reply) => {
                let _ = reply.send(Load { running: self.running.len(), waiting: self.waiting.len() });
            }
            Command::Drain(until) => self.draining = Some(until),
        }
    }

    fn check(&self, submission: &Submission) -> Result<(), Refusal> {
        if self.draining.is_some() {
            return Err(Refusal::Draining);
        }
        self.model.engine().validate(&submission.request)?;
        let waiting = self.waiting.len();
        let has_room = self.running.len() + waiting < self.limits.max_running.get() + self.limits.max_queue;
        if has_room {
            return Ok(());
        }
        let turns = waiting as f64 / self.limits.max_running.get() as f64;
        let seconds = (turns * self.run_seconds).clamp(1.0, 120.0).ceil();
        Err(Refusal::QueueFull { waiting, retry_after: Duration::from_secs_f64(seconds) })
    }

    fn cancel(&mut self, id: u64) {
        if let Some(place) = self.waiting.iter().position(|submission| submission.id == id) {
            if let Some(submission) = self.waiting.remove(place) {
                submission.log.push(Entry::Cancelled);
            }
            return;
        }
        let job = self.running.iter().find(|(_, running)| running.id == id).map(|(&job, _)| job);
        if let Some(job) = job
            && let Some(running) = self.running.remove(&job)
        {
            self.model.engine_mut().cancel(job);
            running.log.push(Entry::Cancelled);
        }
    }

    fn start_waiting(&mut self) {
        while self.running.len() < self.limits.max_running.get()
            && let Some(Submission { id, request, log, deadline, submitted }) = self.waiting.pop_front()
        {
            let started = Instant::now();
            let latest = started + self.limits.max_request_time;
            match self.model.engine_mut().submit(*request) {
                Ok(job) => {
                    let canvas = self.model.engine().canvas(job).unwrap_or_default().to_vec();
                    log.push(Entry::Started { canvas });
                    let deadline = deadline.map_or(latest, |deadline| deadline.min(latest));
                    let queued = started - submitted;
                    let running = Running { id, log, deadline, is_hurried: false, queued, started };
                    self.running.insert(job, running);
                }
                Err(error) => log.push(Entry::Failed(error.to_string())),
            }
        }
    }

    /// Hurries the generations that would not be complete in time.
    fn keep_deadlines(&mut self) {
        let now = Instant::now();
        let (drain, jobs) = (self.draining, self.running.len());
        if drain.is_some_and(|until| until <= now) {
            let ids: Vec<u64> = self
                .waiting
                .iter()
                .map(|submission| submission.id)
                .chain(self.running.values().map(|running| running.id))
                .collect();
            ids.into_iter().for_each(|id| self.cancel(id));
            return;
        }
        for (&job, running) in &mut self.running {
            let deadline = drain.map_or(running.deadline, |until| running.deadline.min(until));
            let left = deadline.saturating_duration_since(now).as_secs_f64();
            // All jobs take turns, so a turn takes as many steps.
            let turn = self.step_seconds * jobs as f64;
            let forwards = if turn > 0.0 { left / turn } else { f64::INFINITY };
            let needed = self.model.engine().cost(job).and_then(|cost| cost.forwards_left);
            let is_late = needed.map_or(forwards < 2.0, |needed| forwards < needed as f64);
            if is_late && forwards < 1e6 {
                let forwards = NonZeroUsize::new(forwards as usize).unwrap_or(NonZeroUsize::MIN);
                running.is_hurried |= self.model.engine_mut().hurry(job, forwards);
            }
        }
    }

    /// Takes a step, and tells the readers of the generations what came of it.
    fn step(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let start = Instant::now();
        let mut ended = Vec::new();
        let running = &self.running;
        self.model.engine_mut().step(self.limits.max_step_tokens, |job, event| {
            let Some(Running { log, queued, started, is_hurried, .. }) = running.get(&job) else { return };
            match event {
                Event::Step(progress) => log.push(Entry::Step {
                    step: progress.step.clone(),
                    growth: progress.growth,
                    settled: progress.settled,
                }),
                Event::Finished(generation) => {
                    let (is_hurried, queued, ran) = (*is_hurried, *queued, started.elapsed());
                    ended.push(job);
                    log.push(Entry::Finished(Box::new(Finish { generation, is_hurried, queued, ran })));
                }
                Event::Failed(error) => {
                    ended.push(job);
                    log.push(Entry::Failed(error.to_string()));
                }
                _ => (),
            }
        });
        mix(&mut self.step_seconds, start.elapsed());
        for job in ended {
            if let Some(running) = self.running.remove(&job) {
                mix(&mut self.run_seconds, running.started.elapsed());
            }
        }
    }
}

/// Mixes a new time into a mean.
fn mix(mean: &mut f64, time: Duration) {
    let seconds = time.as_secs_f64();
    *mean = if *mean == 0.0 { seconds } else { (1.0 - EWMA) * *mean + EWMA * seconds };
}
