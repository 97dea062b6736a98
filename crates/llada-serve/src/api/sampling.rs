//! What requests for text have in common: OpenAI's fields, and the sampler's own options under `diffusion`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use llada::{Algorithm, Request, SamplerConfig, Stops};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    constraint::{Constraint, ResponseFormat, pattern},
    error::ApiError,
    fields,
};
use crate::service::Shared;

/// The fields that requests for text share. Those that OpenAI has and this server does not honour are in `others`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Sampling {
    pub(crate) model: Option<String>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    temperature: Option<f64>,
    seed: Option<u64>,
    n: Option<usize>,
    stop: Option<Texts>,
    #[serde(default)]
    pub(crate) stream: bool,
    #[serde(default)]
    pub(crate) diffusing: bool,
    #[serde(default)]
    pub(crate) stream_options: StreamOptions,
    response_format: Option<ResponseFormat>,
    diffusion: Option<Diffusion>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// One text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct StreamOptions {
    #[serde(default)]
    pub(crate) include_usage: bool,
    #[serde(default)]
    pub(crate) include_diffusion: bool,
}

/// The sampler's options, and what a server has besides.
#[derive(Debug, Deserialize)]
struct Diffusion {
    deadline_ms: Option<u64>,
    constraint: Option<Constraint>,
    #[serde(default)]
    trace: bool,
    #[serde(flatten)]
    options: Map<String, Value>,
}

/// Requests that are ready for the engine, one for each answer that is asked for.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) requests: Vec<Request>,
    pub(crate) stops: Vec<String>,
    pub(crate) seed: u64,
    pub(crate) deadline: Option<Instant>,
    pub(crate) has_trace: bool,
}

impl Sampling {
    /// Checks the model's name and the fields that are not honoured.
    pub(crate) fn check(&self, service: &Shared) -> Result<(), ApiError> {
        if let Some(model) = &self.model
            && !service.options.model_names.contains(model)
        {
            let names = service.options.model_names.join(", ");
            let message = format!("the model {model:?} does not exist; this server has {names}");
            let status = axum::http::StatusCode::NOT_FOUND;
            return Err(ApiError {
                param: Some("model".to_owned()),
                ..ApiError::new(status, "model_not_found", message)
            });
        }
        fields::check(&self.others)
    }

    /// Prepares the requests for a prompt.
    pub(crate) fn prepare(self, service: &Shared, prompt: &[u32]) -> Result<Prepared, ApiError> {
        let stops = match self.stop {
            None => Vec::new(),
            Some(Texts::One(text)) => vec![text],
            Some(Texts::Several(texts)) => texts,
        };
        if stops.len() > 4 {
            return Err(ApiError::invalid(
                "invalid_parameter",
                "stop",
                format!("stop has {} texts, at most 4 are supported", stops.len()),
            ));
        }
        let n = self.n.unwrap_or(1);
        if n == 0 || n > service.options.max_n {
            let message = format!("n {n} is outside of 1 to {}", service.options.max_n);
            return Err(ApiError::invalid("invalid_parameter", "n", message));
        }
        let (deadline_ms, constraint, has_trace, mut options) = match self.diffusion {
            None => (None, None, false, Map::new()),
            Some(Diffusion { deadline_ms, constraint, trace, options }) => (deadline_ms, constraint, trace, options),
        };
        let pattern = pattern(self.response_format, constraint)?;
        if let Some(temperature) = self.temperature {
            options.entry("temperature").or_insert_with(|| temperature.into());
        }
        let seed = match (self.seed, options.get("seed").and_then(Value::as_u64)) {
            (Some(seed), _) | (None, Some(seed)) => seed,
            // The clock is as good as a random number here, and the answer tells which it was.
            (None, None) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos().into()),
        };
        options.insert("seed".to_owned(), seed.into());
        let asked = self.max_completion_tokens.or(self.max_tokens);
        if asked == Some(0) {
            return Err(ApiError::invalid("invalid_parameter", "max_tokens", "max_tokens is 0, at least 1 is needed"));
        }
        let room = service.max_sequence_length.saturating_sub(prompt.len());
        let most = asked.unwrap_or(service.options.default_max_tokens.min(room).max(1));
        options.entry("gen_length").or_insert_with(|| most.into());
        let config = config(options, service.algorithm)?;
        let mut request = Request::new(prompt, config);
        if let Some(pattern) = pattern {
            request = request.with_constraint(service.grammars.get(&pattern)?);
        }
        if !stops.is_empty() {
            request = request.with_stop(Stops::default().at_texts(service.tokenizer.clone(), stops.clone()));
        }
        let requests = (0..n as u64).map(|index| {
            let mut request = request.clone();
            request.config.seed = seed.wrapping_add(index);
            request
        });
        let deadline = deadline_ms.map(|milliseconds| Instant::now() + Duration::from_millis(milliseconds));
        Ok(Prepared { requests: requests.collect(), stops, seed, deadline, has_trace })
    }
}

/// Returns the sampler's options. Where a request of LLaDA chooses no method, blocks are appended until the text ends, and
/// each step commits what is sure: what a conversation needs.
fn config(mut options: Map<String, Value>, default: Algorithm) -> Result<SamplerConfig, ApiError> {
    let algorithm = match options.remove("algorithm") {
        Some(name) => name.as_str().unwrap_or_default().parse()?,
        None => default,
    };
    let chooses = ["decoder", "cache", "length", "steps"].iter().any(|name| options.contains_key(*name));
    if algorithm == Algorithm::Vanilla && !chooses {
        options.insert("length".to_owned(), "append".into());
        options.insert("decoder".to_owned(), "threshold".into());
        options.entry("block_length").or_insert_with(|| 32.into());
        options.entry("stop_at_eos").or_insert_with(|| true.into());
    }
    Ok(SamplerConfig::from_options(algorithm.options(options)?)?)
}
