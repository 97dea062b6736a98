//! Counters of what the server has done, in the text format of OpenMetrics, which Prometheus reads.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::engine::{Failure, Finish, Load, Times};

/// The metrics. Their names are vLLM's, with the prefix `llada_`.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    running: Gauge,
    waiting: Gauge,
    prompt_tokens: Counter,
    generation_tokens: Counter,
    forwards: Counter,
    commits: Counter,
    forced: Counter,
    revoked: Counter,
    hurried: Counter,
    scores: Counter,
    answers: Family<Reason, Counter>,
    unfinished: Family<Reason, Counter>,
    rejected: Family<Reason, Counter>,
    responses: Family<Route, Counter>,
    queue_time: Histogram,
    inference_time: Histogram,
    end_to_end: Histogram,
    time_to_first_token: Histogram,
    tokens_per_forward: Histogram,
    step_time: Histogram,
    rows_per_step: Histogram,
}

/// Why an answer ended, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// A route and the status of its responses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    path: String,
    status: u16,
}

/// Buckets from a millisecond to nine minutes.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 20))
}

/// Buckets from 1 to 1024.
fn counts() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 11))
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            running: Gauge::default(),
            waiting: Gauge::default(),
            prompt_tokens: Counter::default(),
            generation_tokens: Counter::default(),
            forwards: Counter::default(),
            commits: Counter::default(),
            forced: Counter::default(),
            revoked: Counter::default(),
            hurried: Counter::default(),
            scores: Counter::default(),
            answers: Family::default(),
            unfinished: Family::default(),
            rejected: Family::default(),
            responses: Family::default(),
            queue_time: seconds(),
            inference_time: seconds(),
            end_to_end: seconds(),
            time_to_first_token: seconds(),
            tokens_per_forward: counts(),
            step_time: seconds(),
            rows_per_step: counts(),
        }
    }
}

impl Metrics {
    /// Counts a complete answer.
    pub(crate) fn finished(&self, finish: &Finish) {
        let generation = &finish.generation;
        let revoked: usize = generation.trace.steps.iter().map(|step| step.revoked.len()).sum();
        self.prompt_tokens.inc_by(generation.prompt.len() as u64);
        self.forwards.inc_by(generation.nfe as u64);
        self.commits.inc_by(generation.committed() as u64);
        self.forced.inc_by(generation.forced() as u64);
        self.revoked.inc_by(revoked as u64);
        self.hurried.inc_by(u64::from(finish.is_hurried));
        self.generation_tokens.inc_by(finish.completion_tokens as u64);
        let reason = if finish.has_ended { "stop" } else { "length" };
        self.answers.get_or_create(&Reason { reason }).inc();
        if generation.nfe > 0 {
            self.tokens_per_forward.observe(generation.committed() as f64 / generation.nfe as f64);
        }
        self.timed(finish.times);
    }

    /// Counts scored options of one question.
    pub(crate) fn scored(&self, times: Times) {
        self.scores.inc();
        self.timed(times);
    }

    fn timed(&self, Times { queued, ran }: Times) {
        self.queue_time.observe(queued.as_secs_f64());
        self.inference_time.observe(ran.as_secs_f64());
        self.end_to_end.observe((queued + ran).as_secs_f64());
    }

    /// Counts a job that ended without a result.
    pub(crate) fn ended_early(&self, failure: &Failure) {
        let reason = match failure {
            Failure::Model(_) => "failed",
            Failure::Cancelled => "cancelled",
            Failure::Expired => "expired",
        };
        self.unfinished.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a job that was not accepted.
    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&Reason { reason }).inc();
    }

    /// Records the time from the submission of a generation to its first token that is final.
    pub(crate) fn settled_first(&self, time: Duration) {
        self.time_to_first_token.observe(time.as_secs_f64());
    }

    /// Records a step over so many jobs.
    pub(crate) fn stepped(&self, time: Duration, jobs: usize) {
        self.step_time.observe(time.as_secs_f64());
        self.rows_per_step.observe(jobs as f64);
    }

    /// Counts a response.
    pub(crate) fn responded(&self, path: &str, status: u16) {
        self.responses.get_or_create(&Route { path: path.to_owned(), status }).inc();
    }

    /// Writes all metrics.
    pub(crate) fn text(&self, load: Load) -> String {
        self.running.set(load.running as i64);
        self.waiting.set(load.waiting as i64);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry());
        text
    }

    /// The metrics under their names. The registry shares them.
    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("llada");
        for (name, help, gauge) in [
            ("num_requests_running", "Jobs that advance", &self.running),
            ("num_requests_waiting", "Jobs that wait for their turn", &self.waiting),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, counter) in [
            ("prompt_tokens", "Tokens of prompts", &self.prompt_tokens),
            ("generation_tokens", "Tokens of answers, up to their end", &self.generation_tokens),
            ("forwards", "Forward evaluations of answers", &self.forwards),
            ("commits", "Tokens that replaced a mask", &self.commits),
            ("forced", "Tokens that a constraint left no choice in", &self.forced),
            ("revoked", "Tokens that were masked again", &self.revoked),
            ("hurried", "Answers that a deadline shortened", &self.hurried),
            ("scores", "Questions whose options were scored", &self.scores),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, family) in [
            ("request_success", "Complete answers, by the reason of their end", &self.answers),
            ("requests_unfinished", "Jobs without a result", &self.unfinished),
            ("requests_rejected", "Jobs that were not accepted", &self.rejected),
        ] {
            registry.register(name, help, family.clone());
        }
        registry.register("http_requests", "Responses", self.responses.clone());
        for (name, help, histogram) in [
            ("request_queue_time", "From submission to the first step", &self.queue_time),
            ("request_inference_time", "From the first step to the last", &self.inference_time),
            ("e2e_request_latency", "From submission to the last step", &self.end_to_end),
            ("time_to_first_token", "From submission to the first final token", &self.time_to_first_token),
            ("step_time", "A forward and what follows from it", &self.step_time),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        registry.register(
            "tokens_per_forward",
            "Tokens an answer commits in a forward",
            self.tokens_per_forward.clone(),
        );
        registry.register("rows_per_step", "Jobs that share a forward", self.rows_per_step.clone());
        registry
    }
}
