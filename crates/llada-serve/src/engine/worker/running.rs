//! A job that advances, and what is told of its events.

use std::{sync::Arc, time::Instant};

use llada::{Ends, Event, Generation, Request};
use tracing::Span;

use super::super::{
    log::{Entry, Failure, Finish, Log, Times},
    shares::Owner,
};
use crate::metrics::Metrics;

/// A job that advances.
pub(super) struct Running {
    pub(super) id: u64,
    pub(super) owner: Owner,
    pub(super) log: Arc<Log>,
    /// What a generation was asked for.
    pub(super) request: Option<Box<Request>>,
    pub(super) deadline: Instant,
    pub(super) is_hurried: bool,
    pub(super) submitted: Instant,
    pub(super) span: Span,
    pub(super) started: Instant,
    pub(super) bytes: usize,
    /// The number of the step in which it advanced last.
    pub(super) last_turn: u64,
    pub(super) has_settled: bool,
}

impl Running {
    /// Appends an event to the log. Returns true if it is the last one.
    pub(super) fn record(&mut self, event: Event<'_>, ends: &Ends, metrics: &Metrics) -> bool {
        let entry = match event {
            Event::Step(progress) => {
                let has_settled = progress.step.commits.iter().any(|commit| commit.position < progress.settled);
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
                let is_hurried = self.is_hurried;
                tracing::info!(parent: &self.span, nfe, tokens, queued, ran, is_hurried, "finished");
                Entry::Finished(Box::new(finish))
            }
            Event::Scored(scores) => {
                metrics.scored(self.times());
                Entry::Scored { scores, times: self.times() }
            }
            Event::Failed(error) => {
                tracing::error!(parent: &self.span, %error, "failed");
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
