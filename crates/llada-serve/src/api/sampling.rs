//! What requests for text have in common: OpenAI's fields, and the sampler's own options under `diffusion`.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use llada::{Algorithm, Pattern, Preset, Request, SamplerConfig, Stops, TokenDfa};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    constraint::{Constraint, Guided, ResponseFormat, pattern},
    echo::Echo,
    error::ApiError,
    fields,
    follow::Place,
    logprobs::{self, Logprobs},
};
use crate::service::Shared;

/// The fields that requests for text share. Those that OpenAI has and this server does not honour are in `others`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Sampling {
    model: Option<String>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    temperature: Option<f64>,
    seed: Option<u64>,
    n: Option<usize>,
    stop: Option<Texts>,
    pub(crate) stream: Option<bool>,
    #[serde(default)]
    pub(crate) diffusing: bool,
    pub(crate) stream_options: Option<StreamOptions>,
    reasoning_effort: Option<Effort>,
    #[serde(default)]
    ignore_eos: bool,
    response_format: Option<ResponseFormat>,
    logprobs: Option<Logprobs>,
    top_logprobs: Option<usize>,
    #[serde(flatten)]
    guided: Guided,
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
    #[serde(default)]
    pub(crate) continuous_usage_stats: bool,
}

/// How much work an answer is worth: the confidence from which tokens are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Effort {
    Instant,
    #[serde(alias = "minimal", alias = "none")]
    Low,
    Medium,
    /// One token a step.
    High,
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

/// A prompt with the place of its answer.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    pub(super) prompt: Vec<u32>,
    pub(super) answer: Place,
    /// The patterns of its runs of masks, in their order.
    pub(super) holes: Vec<Option<Arc<TokenDfa>>>,
    /// The pattern of a call, which the answer is to be whatever else the request says.
    pub(super) call: Option<Pattern>,
}

impl Canvas {
    /// A prompt to which the answer is appended.
    pub(super) fn appended_to(prompt: Vec<u32>) -> Self {
        let answer = Place::After(prompt.len());
        Self { prompt, answer, holes: Vec::new(), call: None }
    }
}

/// Requests that are ready for the engine, one for each answer that is asked for.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) requests: Vec<Request>,
    pub(super) deadline: Option<Instant>,
    pub(super) told: Told,
}

/// What is told of an answer, and what its text depends on.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) answer: Place,
    pub(super) stops: Vec<String>,
    pub(super) seed: u64,
    pub(super) has_trace: bool,
    /// True if the answer is a call of a function.
    pub(super) is_call: bool,
    pub(super) has_logprobs: bool,
    /// True if ends in the answer are tokens like any other.
    pub(super) ignores_ends: bool,
    /// The prompt, if it is told before the answer.
    pub(super) echo: Option<Echo>,
}

impl Told {
    /// What is told where there is no answer after a prompt.
    pub(super) fn of_prompt(echo: Echo) -> Self {
        let answer = Place::After(echo.ids.len());
        let (stops, echo) = (Vec::new(), Some(echo));
        let (has_trace, is_call, has_logprobs, ignores_ends) = (false, false, false, false);
        Self { answer, stops, seed: 0, has_trace, is_call, has_logprobs, ignores_ends, echo }
    }
}

impl Sampling {
    /// Checks the model's name and the fields that are not honoured.
    pub(crate) fn check(&self, service: &Shared) -> Result<(), ApiError> {
        fields::check_model(service, self.model.as_deref())?;
        fields::check(&self.others)
    }

    /// Returns true if the answer is to be a stream.
    pub(super) fn is_streamed(&self) -> bool {
        self.stream.unwrap_or_default() || self.diffusing
    }

    /// Returns the number of alternatives that are asked for, if log-probabilities are.
    pub(super) fn top_logprobs(&self) -> Result<Option<usize>, ApiError> {
        logprobs::count(self.logprobs, self.top_logprobs)
    }

    /// Returns true if no answer is asked for.
    pub(super) fn asks_for_none(&self) -> bool {
        self.max_completion_tokens.or(self.max_tokens) == Some(0)
    }

    /// Returns the number of tokens that are asked for, if it is given.
    pub(super) fn max_tokens(&self) -> Result<Option<usize>, ApiError> {
        let asked = self.max_completion_tokens.or(self.max_tokens);
        if asked == Some(0) {
            return Err(ApiError::invalid("invalid_parameter", "max_tokens", "max_tokens is 0, at least 1 is needed"));
        }
        Ok(asked)
    }

    /// Prepares the requests for a prompt.
    pub(super) fn prepare(self, service: &Shared, canvas: Canvas) -> Result<Prepared, ApiError> {
        let (n, max_tokens, top_logprobs) = (self.count(service)?, self.max_tokens()?, self.top_logprobs()?);
        let stops = match self.stop {
            None => Vec::new(),
            Some(Texts::One(text)) => vec![text],
            Some(Texts::Several(texts)) => texts,
        };
        if stops.len() > 4 {
            let message = format!("stop has {} texts, at most 4 are supported", stops.len());
            return Err(ApiError::invalid("invalid_parameter", "stop", message));
        }
        let (deadline_ms, constraint, has_trace, mut options) = match self.diffusion {
            None => (None, None, false, Map::new()),
            Some(Diffusion { deadline_ms, constraint, trace, options }) => (deadline_ms, constraint, trace, options),
        };
        let pattern = pattern(self.response_format, constraint, self.guided)?;
        if let Some(temperature) = self.temperature {
            options.entry("temperature").or_insert_with(|| temperature.into());
        }
        let seed = self.seed.or_else(|| options.get("seed")?.as_u64()).unwrap_or_else(any_seed);
        options.insert("seed".to_owned(), seed.into());
        let Canvas { prompt, answer, holes, call } = canvas;
        let is_call = call.is_some();
        let gen_length = if let Place::After(length) = answer {
            let room = service.max_sequence_length.saturating_sub(length);
            max_tokens.unwrap_or(service.options.default_max_tokens.min(room).max(1))
        } else {
            0
        };
        options.entry("gen_length").or_insert_with(|| gen_length.into());
        // A gap has the length that was chosen for it, and an end of the text would leave a part of it empty.
        if self.ignore_eos || gen_length == 0 {
            options.entry("logits_eos_inf").or_insert(true.into());
        }
        let config = config(options, service.algorithm, self.reasoning_effort, gen_length > 0 && !self.ignore_eos)?;
        let mut request = Request::new(prompt, config).with_hole_constraints(holes);
        if let Some(pattern) = call.or(pattern) {
            request = request.with_constraint(service.grammars.get(&pattern)?);
        }
        if !stops.is_empty() {
            request = request.with_stop(Stops::default().at_texts(service.tokenizer.clone(), stops.clone()));
        }
        if let Some(count) = top_logprobs {
            request = request.with_top_logprobs(count);
        }
        let mut requests = vec![request; n];
        for (index, request) in (0..).zip(&mut requests) {
            request.config.seed = seed.wrapping_add(index);
        }
        let deadline = deadline_ms.map(|milliseconds| Instant::now() + Duration::from_millis(milliseconds));
        let has_logprobs = top_logprobs.is_some();
        let ignores_ends = self.ignore_eos || answer == Place::Whole;
        let told = Told { answer, stops, seed, has_trace, is_call, has_logprobs, ignores_ends, echo: None };
        Ok(Prepared { requests, deadline, told })
    }

    /// Returns the number of answers.
    fn count(&self, service: &Shared) -> Result<usize, ApiError> {
        let n = self.n.unwrap_or(1);
        if n == 0 || n > service.options.max_n {
            let message = format!("n {n} is outside of 1 to {}", service.options.max_n);
            return Err(ApiError::invalid("invalid_parameter", "n", message));
        }
        Ok(n)
    }
}

/// The clock is as good as a random number here, and the answer tells which seed it was.
fn any_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos().into())
}

/// Returns the sampler's options. Where a request of LLaDA chooses no method, blocks are appended until the text ends, in the
/// preset of its effort: what a conversation needs.
fn config(
    mut options: Map<String, Value>,
    default: Algorithm,
    effort: Option<Effort>,
    ends_by_itself: bool,
) -> Result<SamplerConfig, ApiError> {
    options.retain(|_, value| !value.is_null());
    let preset = options.remove("preset");
    let is_conversation =
        default == Algorithm::Vanilla && !SamplerConfig::names_a_sampler(&options) && !options.contains_key("steps");
    if is_conversation {
        if preset.is_none() {
            let preset = match effort {
                Some(Effort::High) => Preset::Exact,
                Some(Effort::Medium) | None => Preset::Balanced,
                Some(Effort::Low | Effort::Instant) => Preset::Fast,
            };
            options.insert("preset".to_owned(), preset.to_string().into());
            if effort == Some(Effort::Instant) {
                options.entry("threshold").or_insert_with(|| 0.8.into());
            }
        }
        if ends_by_itself {
            options.insert("length".to_owned(), "append".into());
            options.entry("block_length").or_insert_with(|| 32.into());
            options.entry("stop_at_eos").or_insert_with(|| true.into());
        }
    }
    options.extend(preset.map(|preset| ("preset".to_owned(), preset)));
    Ok(SamplerConfig::from_request(options, default)?)
}

#[cfg(test)]
mod tests {
    use llada::{CacheKind, DecoderConfig, LengthKind};
    use serde_json::json;

    use super::*;

    fn read(effort: Option<Effort>, options: Value) -> Result<SamplerConfig, ApiError> {
        let Value::Object(options) = options else { panic!("options are an object") };
        config(options, Algorithm::Vanilla, effort, true)
    }

    /// The threshold of a config, if it has the decoder of that name.
    fn threshold(config: &SamplerConfig) -> Option<f32> {
        match config.decoder {
            DecoderConfig::Threshold(decoder) => Some(decoder.threshold),
            _ => None,
        }
    }

    #[test]
    fn efforts_are_presets() {
        for (effort, expected) in [
            (None, Some(0.95)),
            (Some(Effort::Medium), Some(0.95)),
            (Some(Effort::Low), Some(0.9)),
            (Some(Effort::Instant), Some(0.8)),
            (Some(Effort::High), None),
        ] {
            for options in [json!({}), json!({"preset": null, "decoder": null, "algorithm": null})] {
                let config = read(effort, options).unwrap();
                assert_eq!(threshold(&config), expected, "{effort:?}");
                let cache = if expected.is_some() { CacheKind::Dual } else { CacheKind::None };
                assert_eq!((config.cache, config.block_length), (cache.into(), Some(32)), "{effort:?}");
                assert_eq!((config.length, config.stop_at_eos), (LengthKind::Append.into(), true), "{effort:?}");
            }
        }
    }

    /// A preset goes before the effort, and what a request says before both.
    #[test]
    fn what_is_asked_for_goes_before_the_effort() {
        for effort in [None, Some(Effort::Low), Some(Effort::High)] {
            let config = read(effort, json!({"preset": "exact"})).unwrap();
            assert_eq!((threshold(&config), config.length), (None, LengthKind::Append.into()));
            let config = read(effort, json!({"preset": "fast", "threshold": 0.5})).unwrap();
            assert_eq!(threshold(&config), Some(0.5));
            let config = read(effort, json!({"decoder": "schedule", "steps": 4})).unwrap();
            assert_eq!((threshold(&config), config.length), (None, LengthKind::Fixed.into()));
            let error = read(effort, json!({"preset": "fast", "algorithm": "dream"}));
            assert!(error.is_err());
        }
    }
}
