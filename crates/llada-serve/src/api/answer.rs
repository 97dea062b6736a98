//! Complete answers as clients read them: their text, why they ended, and what they took.

use serde_json::{Map, Value, json};

use super::{echo::Echo, error::ApiError, frame::Frame, logprobs};
use crate::{engine::Finish, service::Shared};

/// A complete answer with what is reported of it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) finish_reason: &'static str,
    pub(super) usage: Usage,
    /// The log-probabilities of its tokens; null unless they are asked for.
    pub(super) logprobs: Value,
    /// The report on the diffusion.
    pub(super) report: Value,
}

/// The tokens and forwards of answers to one request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
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
    pub(super) fn new(frame: &Frame, finish: &Finish, index: usize) -> Result<Self, ApiError> {
        let generation = &finish.generation;
        let answer = frame.told.answer.of_generation(generation);
        let ignores_ends = frame.told.ignores_ends;
        let tokens = if ignores_ends { answer.len() } else { frame.service.ends.cut(answer).len() };
        // A gap has the length that was chosen for it; what follows its end is not part of the text.
        let has_ended = frame.told.answer.is_gap() || finish.has_ended && !ignores_ends;
        let revoked = generation.trace.steps.iter().map(|step| step.revoked.len()).sum();
        let stop_reason = match (finish.is_hurried, has_ended, tokens < answer.len()) {
            (true, ..) => "deadline",
            (false, true, true) => "eos",
            (false, true, false) => "stop",
            (false, false, _) => "length",
        };
        let seed = frame.told.seed.wrapping_add(index as u64);
        let mut report =
            Map::from_iter([("seed".to_owned(), seed.into()), ("stop_reason".to_owned(), stop_reason.into())]);
        if let Some(log_mass) = generation.log_mass() {
            report.insert("constraint".to_owned(), json!({"log_mass": log_mass}));
        }
        if frame.told.has_trace {
            report.insert("trace".to_owned(), json!(generation.trace));
        }
        let mut text = frame.settled().finish(answer)?;
        let start = frame.told.answer.start();
        let logprobs = match &frame.told.echo {
            Some(echo) => {
                text.insert_str(0, &echo.text);
                // With the end, so that there are as many as were generated, which clients cut off.
                let known = logprobs::known(generation, start, &answer[..answer.len().min(tokens + 1)]);
                echo.logprobs(&frame.service, known)
            }
            None if frame.told.has_logprobs => {
                logprobs::described(&frame.service, frame.shape, generation, start, &answer[..tokens])
            }
            None => Value::Null,
        };
        let echo_nfe = frame.told.echo.as_ref().filter(|_| index == 0).map_or(0, |echo| echo.nfe);
        Ok(Self {
            text,
            finish_reason: match (frame.told.is_call, has_ended) {
                (true, _) => "tool_calls",
                (false, true) => "stop",
                (false, false) => "length",
            },
            usage: Usage {
                prompt_tokens: generation.trace.canvas.len() - frame.told.answer.length(generation),
                completion_tokens: tokens,
                nfe: generation.nfe + echo_nfe,
                committed: generation.committed(),
                revoked,
                forced: generation.forced(),
                canvas_tokens: frame.told.answer.length(generation),
                queue_seconds: finish.times.queued.as_secs_f64(),
                run_seconds: finish.times.ran.as_secs_f64(),
            },
            logprobs,
            report: report.into(),
        })
    }

    /// The answer that is a prompt alone.
    pub(super) fn of_prompt(service: &Shared, echo: &Echo) -> Self {
        Self {
            text: echo.text.clone(),
            finish_reason: "length",
            usage: Usage { prompt_tokens: echo.ids.len(), nfe: echo.nfe, ..Usage::default() },
            logprobs: echo.logprobs(service, std::iter::empty()),
            report: json!({"stop_reason": "length"}),
        }
    }
}

impl Usage {
    /// Adds another answer to the same prompt.
    pub(super) fn add(&mut self, other: Self) {
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
    pub(super) fn json(&self) -> Value {
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
