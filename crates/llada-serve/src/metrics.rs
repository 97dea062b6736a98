//! Counters of what the server has done, in Prometheus' text format.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::engine::{Finish, Load};

/// The counters. Their names are vLLM's, with the prefix `llada_`.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    prompt_tokens: AtomicU64,
    generation_tokens: AtomicU64,
    forwards: AtomicU64,
    forced: AtomicU64,
    revoked: AtomicU64,
    stopped: AtomicU64,
    full: AtomicU64,
    hurried: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) rejected: AtomicU64,
    queue_microseconds: AtomicU64,
    run_microseconds: AtomicU64,
}

impl Metrics {
    /// Counts a complete answer of so many tokens before its end.
    pub(crate) fn finished(&self, finish: &Finish, completion_tokens: usize, has_ended: bool) {
        let generation = &finish.generation;
        let revoked: usize = generation.trace.steps.iter().map(|step| step.revoked.len()).sum();
        for (counter, count) in [
            (&self.prompt_tokens, generation.prompt.len()),
            (&self.generation_tokens, completion_tokens),
            (&self.forwards, generation.nfe),
            (&self.forced, generation.forced()),
            (&self.revoked, revoked),
            (&self.stopped, usize::from(has_ended)),
            (&self.full, usize::from(!has_ended)),
            (&self.hurried, usize::from(finish.is_hurried)),
        ] {
            counter.fetch_add(count as u64, Relaxed);
        }
        self.queue_microseconds.fetch_add(finish.queued.as_micros() as u64, Relaxed);
        self.run_microseconds.fetch_add(finish.ran.as_micros() as u64, Relaxed);
    }

    /// Writes all metrics.
    pub(crate) fn text(&self, load: Load) -> String {
        let mut text = String::new();
        let mut write = |name: &str, kind: &str, labels: &str, value: f64| {
            if !text.contains(&format!("# TYPE llada_{name} ")) {
                let _ = writeln!(text, "# TYPE llada_{name} {kind}");
            }
            let _ = writeln!(text, "llada_{name}{labels} {value}");
        };
        write("num_requests_running", "gauge", "", load.running as f64);
        write("num_requests_waiting", "gauge", "", load.waiting as f64);
        let count = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        for (name, counter) in [
            ("prompt_tokens_total", &self.prompt_tokens),
            ("generation_tokens_total", &self.generation_tokens),
            ("forwards_total", &self.forwards),
            ("forced_total", &self.forced),
            ("revoked_total", &self.revoked),
            ("hurried_total", &self.hurried),
            ("requests_cancelled_total", &self.cancelled),
            ("requests_failed_total", &self.failed),
            ("requests_rejected_total", &self.rejected),
        ] {
            write(name, "counter", "", count(counter));
        }
        write("request_success_total", "counter", "{finished_reason=\"stop\"}", count(&self.stopped));
        write("request_success_total", "counter", "{finished_reason=\"length\"}", count(&self.full));
        write("request_queue_time_seconds_sum", "counter", "", count(&self.queue_microseconds) / 1e6);
        write("request_inference_time_seconds_sum", "counter", "", count(&self.run_microseconds) / 1e6);
        text
    }
}
