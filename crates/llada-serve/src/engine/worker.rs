//! The thread that owns the model.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use llada::{Ends, Event, Generation, Job, JobId, Model, Request};
use tokio::sync::oneshot;

use super::{
    EngineLimits, Load, Refusal,
    log::{Entry, Failure, Finish, Log, Times},
    shares::{Owner, Shares},
};
use crate::metrics::Metrics;

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

/// A job that advances.
struct Running {
    id: u64,
    owner: Owner,
    log: Arc<Log>,
    /// What a generation was asked for.
    request: Option<Box<Request>>,
    deadline: Instant,
    is_hurried: bool,
    submitted: Instant,
    started: Instant,
    bytes: usize,
    /// The number of the step in which it advanced last.
    last_turn: u64,
    has_settled: bool,
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
    /// The mean time of a step, in seconds.
    step_seconds: f64,
    /// The mean time of a job, in seconds.
    run_seconds: f64,
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
        let (owner, log) = if let Some(place) = self.waiting.iter().position(|waiting| waiting.submission.id == id) {
            let Submission { owner, log, .. } = self.waiting.remove(place).submission;
            (owner, log)
        } else if let Some((&job, _)) = self.running.iter().find(|(_, running)| running.id == id)
            && let Some(Running { owner, log, .. }) = self.running.remove(&job)
        {
            self.model.engine_mut().cancel(job);
            (owner, log)
        } else {
            return;
        };
        self.shares.leave(&owner);
        self.metrics.ended_early(failure);
        tracing::info!(job = id, reason = %failure, "ended early");
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

    fn start_waiting(&mut self) {
        while self.running.len() < self.limits.max_running.get() {
            let Some(place) = self.next_waiting() else { return };
            let kept: usize = self.running.values().map(|running| running.bytes).sum();
            // What does not fit waits, and nothing overtakes it: small jobs could starve it otherwise.
            if kept + self.waiting[place].bytes > self.limits.max_cache_bytes {
                return;
            }
            let Waiting { submission, bytes } = self.waiting.remove(place);
            self.start(submission, bytes);
        }
    }

    /// Returns the place of the job that is to start next: the first one of the owner with the fewest running jobs.
    fn next_waiting(&self) -> Option<usize> {
        let running = |owner: &Owner| self.running.values().filter(|running| running.owner == *owner).count();
        let rank = |place: &usize| {
            let owner = &self.waiting[*place].submission.owner;
            (running(owner), self.shares.time(owner))
        };
        (0..self.waiting.len()).min_by_key(rank)
    }

    fn start(&mut self, submission: Submission, bytes: usize) {
        let Submission { id, job, owner, log, deadline, submitted } = submission;
        let started = Instant::now();
        let latest = started + self.limits.max_request_time;
        let request = match &job {
            Job::Generate(request) => Some(request.clone()),
            _ => None,
        };
        match self.model.engine_mut().submit(job) {
            Ok(job) => {
                if let (Some(request), Some(canvas)) = (&request, self.model.engine().canvas(job)) {
                    // What a constraint forces is on the engine's canvas already, and is told as the first step.
                    let mut before = request.prompt.clone();
                    before.resize(canvas.len(), self.model.mask_id());
                    log.push(Entry::Started { canvas: before });
                }
                let deadline = deadline.map_or(latest, |deadline| deadline.min(latest));
                let (is_hurried, has_settled, last_turn) = (false, false, 0);
                let running = Running {
                    id,
                    owner,
                    log,
                    request,
                    deadline,
                    is_hurried,
                    submitted,
                    started,
                    bytes,
                    last_turn,
                    has_settled,
                };
                self.running.insert(job, running);
            }
            Err(error) => {
                self.shares.leave(&owner);
                log.push(Entry::Failed(Failure::Model(error.to_string())));
            }
        }
    }

    /// Hurries the generations that would not be complete in time.
    fn keep_deadlines(&mut self) {
        let now = Instant::now();
        let (drain, jobs) = (self.draining, self.running.len());
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

    /// Chooses the jobs of the next step: those of the owner that was served least, in turn, as many as fit.
    fn choose(&mut self) -> Vec<JobId> {
        self.turn += 1;
        let (mut chosen, mut tokens) = (Vec::new(), 0_usize);
        while let Some((&job, running)) = self
            .running
            .iter_mut()
            .filter(|(_, running)| running.last_turn < self.turn)
            .min_by_key(|(_, running)| (self.shares.time(&running.owner), running.last_turn))
        {
            let cost = self.model.engine().cost(job).map_or(0, |cost| cost.tokens);
            tokens = tokens.saturating_add(cost);
            if !chosen.is_empty() && tokens > self.limits.max_step_tokens {
                break;
            }
            running.last_turn = self.turn;
            self.shares.charge(&running.owner, cost);
            chosen.push(job);
        }
        chosen
    }

    /// Takes a step, and tells the readers of the jobs what came of it.
    fn step(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let start = Instant::now();
        let chosen = self.choose();
        let mut ended = Vec::new();
        let Self { model, ends, running, metrics, .. } = self;
        model.engine_mut().advance(&chosen, |job, event| {
            let Some(running) = running.get_mut(&job) else { return };
            let is_last = running.record(event, ends, metrics);
            ended.extend(is_last.then_some(job));
        });
        metrics.stepped(start.elapsed(), chosen.len());
        mix(&mut self.step_seconds, start.elapsed());
        for job in ended {
            if let Some(running) = self.running.remove(&job) {
                self.shares.leave(&running.owner);
                mix(&mut self.run_seconds, running.started.elapsed());
            }
        }
    }
}

impl Running {
    /// Appends an event to the log. Returns true if it is the last one.
    fn record(&mut self, event: Event<'_>, ends: &Ends, metrics: &Metrics) -> bool {
        let entry = match event {
            Event::Step(progress) => {
                let has_settled = progress.settled > 0
                    && progress.step.commits.iter().any(|commit| commit.position < progress.settled);
                if has_settled && !std::mem::replace(&mut self.has_settled, true) {
                    metrics.settled_first(self.submitted.elapsed());
                }
                Entry::Step { step: progress.step.clone(), growth: progress.growth, settled: progress.settled }
            }
            Event::Finished(generation) => {
                let finish = self.finish(generation, ends);
                metrics.finished(&finish);
                let (nfe, tokens) = (finish.generation.nfe, finish.completion_tokens);
                let [queued, ran] = [finish.times.queued, finish.times.ran].map(|time| time.as_secs_f64());
                tracing::info!(job = self.id, nfe, tokens, queued, ran, is_hurried = self.is_hurried, "finished");
                Entry::Finished(Box::new(finish))
            }
            Event::Scored(scores) => {
                metrics.scored(self.times());
                Entry::Scored { scores, times: self.times() }
            }
            Event::Failed(error) => {
                tracing::error!(job = self.id, %error, "failed");
                let failure = Failure::Model(error.to_string());
                metrics.ended_early(&failure);
                Entry::Failed(failure)
            }
            _ => return false,
        };
        let is_last = entry.is_last();
        self.log.push(entry);
        is_last
    }

    fn finish(&self, generation: Generation, ends: &Ends) -> Finish {
        let output = &generation.output;
        let completion_tokens = ends.cut(output).len();
        let is_stopped = self.request.as_ref().is_some_and(|request| request.is_stopped_by(output));
        let has_ended = completion_tokens < output.len() || is_stopped;
        Finish { generation, completion_tokens, has_ended, is_hurried: self.is_hurried, times: self.times() }
    }

    fn times(&self) -> Times {
        Times { queued: self.started - self.submitted, ran: self.started.elapsed() }
    }
}

/// Mixes a new time into a mean.
fn mix(mean: &mut f64, time: Duration) {
    let seconds = time.as_secs_f64();
    *mean = if *mean == 0.0 { seconds } else { (1.0 - EWMA) * *mean + EWMA * seconds };
}
