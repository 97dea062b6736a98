//! Answers as clients read them: why they ended, and what they took.

use serde_json::{Map, Value, json};

use super::error::ApiError;
use crate::{engine::Finish, service::Shared, settled};

/// A complete answer with what is reported of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) finish_reason: &'static str,
    stop_reason: &'static str,
    pub(crate) usage: Usage,
    log_mass: Option<f64>,
    trace: Option<Value>,
}

/// The tokens and forwards of answers to one request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    nfe: usize,
    committed: usize,
    revoked: usize,
    forced: usize,
    canvas_tokens: usize,
    queue_seconds: f64,
    run_seconds: f64,
}

impl Answer {
    /// Reads what is reported of an answer, and counts it in the metrics.
    pub(crate) fn new(service: &Shared, stops: &[String], finish: &Finish, has_trace: bool) -> Result<Self, ApiError> {
        let generation = &finish.generation;
        let completion_tokens = service.ends.cut(&generation.output).len();
        let has_ended = settled::has_ended(&service.tokenizer, &service.ends, stops, &generation.output)?;
        service.metrics.finished(finish, completion_tokens, has_ended);
        let revoked = generation.trace.steps.iter().map(|step| step.revoked.len()).sum();
        Ok(Self {
            finish_reason: if has_ended { "stop" } else { "length" },
            stop_reason: match (finish.is_hurried, has_ended, completion_tokens < generation.output.len()) {
                (true, ..) => "deadline",
                (false, true, true) => "eos",
                (false, true, false) => "stop",
                (false, false, _) => "length",
            },
            usage: Usage {
                prompt_tokens: generation.prompt.len(),
                completion_tokens,
                nfe: generation.nfe,
                committed: generation.committed(),
                revoked,
                forced: generation.forced(),
                canvas_tokens: generation.trace.canvas.len() - generation.trace.prompt_length,
                queue_seconds: finish.queued.as_secs_f64(),
                run_seconds: finish.ran.as_secs_f64(),
            },
            log_mass: generation.log_mass(),
            trace: has_trace.then(|| json!(generation.trace)),
        })
    }

    /// Returns the report on the diffusion of one answer.
    pub(crate) fn diffusion(&self, seed: u64) -> Value {
        let mut report =
            Map::from_iter([("seed".to_owned(), seed.into()), ("stop_reason".to_owned(), self.stop_reason.into())]);
        if let Some(log_mass) = self.log_mass {
            report.insert("constraint".to_owned(), json!({"log_mass": log_mass}));
        }
        if let Some(trace) = &self.trace {
            report.insert("trace".to_owned(), trace.clone());
        }
        report.into()
    }
}

impl Usage {
    /// Adds another answer to the same prompt.
    pub(crate) fn add(&mut self, other: Self) {
        self.prompt_tokens = other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.nfe += other.nfe;
        self.committed += other.committed;
        self.revoked += other.revoked;
        self.forced += other.forced;
        self.canvas_tokens += other.canvas_tokens;
        self.queue_seconds = self.queue_seconds.max(other.queue_seconds);
        self.run_seconds = self.run_seconds.max(other.run_seconds);
    }

    /// Returns the usage in OpenAI's form, with the forwards and tokens of the diffusion.
    pub(crate) fn json(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
            "diffusion": {
                "nfe": self.nfe,
                "committed": self.committed,
                "revoked": self.revoked,
                "forced": self.forced,
                "tokens_per_forward": self.committed as f64 / self.nfe.max(1) as f64,
                "canvas_tokens": self.canvas_tokens,
                "queue_seconds": self.queue_seconds,
                "run_seconds": self.run_seconds,
            },
        })
    }
}
