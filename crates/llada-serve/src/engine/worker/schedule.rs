//! Which jobs start, which advance, and which are hurried.

use std::{num::NonZeroUsize, time::Instant};

use llada::{Job, JobId};

use super::{
    super::{
        log::{Entry, Failure},
        shares::Owner,
    },
    Running, Submission, Waiting, Worker,
};

impl Worker {
    /// Starts the jobs that there is room for.
    pub(super) fn start_waiting(&mut self) {
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
        let Submission { id, job, owner, log, deadline, submitted, span } = submission;
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
                    span,
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
    pub(super) fn keep_deadlines(&mut self) {
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
    pub(super) fn choose(&mut self) -> Vec<JobId> {
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
}
