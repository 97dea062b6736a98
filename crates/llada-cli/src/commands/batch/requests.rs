//! The requests of a batch: every line is checked before the first is answered.

use std::{collections::HashSet, path::Path};

use anyhow::Context;
use llada::Stops;
use llada_infer::{Algorithm, DecoderConfig, InferError, Request, SamplerConfig, decoder::RecordedOrigin};
use llada_model::Message;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{args::read_options, exit::usage, file::read_text, patterns::Patterns, results::digest, session::Session};

/// One request as it was written.
pub(super) struct Line {
    pub(super) id: Value,
    prompt: Prompt,
    config: SamplerConfig,
    /// The texts that end the answer.
    pub(super) stop: Vec<String>,
    /// The ids that end the answer at the end of their block.
    stop_ids: Vec<u32>,
    /// The length of prompt and answer together, which takes the place of `gen_length`.
    context_length: Option<usize>,
    patterns: Patterns,
    /// Random numbers of the origin order, recorded elsewhere.
    uniform: Option<Vec<Vec<f32>>>,
    text: String,
    number: usize,
}

enum Prompt {
    Text(String),
    Ids(Vec<u32>),
    Messages(Vec<Message>),
}

/// Reads and checks the lines of `path`; empty ones are passed over.
pub(super) fn read(path: &Path, algorithm: Algorithm) -> anyhow::Result<Vec<Line>> {
    let text = read_text(path)?;
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parse = |(index, line): (usize, &str)| {
        let refuse = |message: String| usage(format!("{}:{}: {message}", path.display(), index + 1));
        Line::parse(line, index + 1, algorithm).map_err(refuse)
    };
    let lines = numbered.map(parse).collect::<anyhow::Result<Vec<_>>>()?;
    let mut seen = HashSet::new();
    for Line { id, number, .. } in &lines {
        if !seen.insert(id.to_string()) {
            return Err(usage(format!("{}:{number}: id {id} was used before", path.display())));
        }
    }
    Ok(lines)
}

impl Line {
    fn parse(text: &str, number: usize, algorithm: Algorithm) -> Result<Self, String> {
        let mut keys: Map<String, Value> = serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))?;
        keys.retain(|_, value| !value.is_null());
        let id = match keys.remove("id") {
            Some(id @ (Value::String(_) | Value::Number(_))) => id,
            Some(id) => return Err(format!("id {id} is neither a text nor a number")),
            None => return Err("the request has no id\nhint: add \"id\": 1".to_owned()),
        };
        let prompts = [
            take::<String>(&mut keys, "prompt")?.map(Prompt::Text),
            take(&mut keys, "prompt_ids")?.map(Prompt::Ids),
            take(&mut keys, "messages")?.map(Prompt::Messages),
        ];
        let mut prompts = prompts.into_iter().flatten();
        let (Some(prompt), None) = (prompts.next(), prompts.next()) else {
            return Err("a request has exactly one of prompt, prompt_ids and messages".to_owned());
        };
        let mut stop = take::<Vec<String>>(&mut keys, "stop")?.unwrap_or_default();
        stop.extend(take::<Vec<String>>(&mut keys, "until")?.unwrap_or_default());
        let stop_ids = take(&mut keys, "stop_ids")?.unwrap_or_default();
        let context_length = take(&mut keys, "context_length")?;
        let uniform = take(&mut keys, "uniform")?;
        let patterns = Patterns::take(&mut keys, text)?;
        let config = read_options(keys, algorithm).map_err(|error| message(&error))?;
        let text = text.to_owned();
        Ok(Self { id, prompt, config, stop, stop_ids, context_length, patterns, uniform, text, number })
    }

    /// The request in token ids, checked against the model.
    pub(super) fn request(&self, session: &Session) -> anyhow::Result<Request> {
        let encode = || {
            let prompt = match &self.prompt {
                Prompt::Text(text) => session.model.tokenizer()?.encode(text)?,
                Prompt::Ids(ids) => ids.clone(),
                Prompt::Messages(messages) => session.model.tokenizer()?.encode_chat(messages)?,
            };
            let mut config = self.config.clone();
            if let Some(context_length) = self.context_length {
                config.gen_length = context_length.saturating_sub(prompt.len());
            }
            let mut request = Request::new(prompt, config);
            if let (Some(uniform), &DecoderConfig::Origin(origin)) = (&self.uniform, &self.config.decoder) {
                request = request.with_decoder(RecordedOrigin { origin, uniform: uniform.clone() });
            }
            if !self.stop.is_empty() || !self.stop_ids.is_empty() {
                let mut stops = Stops::at_ids(self.stop_ids.clone());
                if !self.stop.is_empty() {
                    stops = stops.at_texts(session.model.tokenizer()?.clone(), self.stop.clone());
                }
                request = request.with_stop(stops);
            }
            let request = self.patterns.constrain(&session.model, request)?;
            session.model.engine().validate(&request).map_err(|error| usage(message(&error)))?;
            anyhow::Ok(request)
        };
        encode().with_context(|| format!("line {} (id {})", self.number, self.id))
    }

    /// The digest of the request under these settings.
    pub(super) fn digest(&self, settings: &str) -> String {
        digest(settings, &self.text)
    }
}

/// What is wrong with a request, and what would help, with options as keys.
fn message(error: &InferError) -> String {
    let hint = error.hint().map(|hint| hint.render(key));
    format!("{error}{}", hint.map_or_else(String::new, |hint| format!("\nhint: {hint}")))
}

/// An option as a request has it.
fn key(option: &str, value: &str) -> String {
    let is_number = value.parse::<f64>().is_ok();
    if is_number { format!("{option:?}: {value}") } else { format!("{option:?}: {value:?}") }
}

fn take<T: for<'a> Deserialize<'a>>(keys: &mut Map<String, Value>, key: &str) -> Result<Option<T>, String> {
    keys.remove(key).map(serde_json::from_value).transpose().map_err(|e| format!("{key}: {e}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::mutation::survives;

    fn read_bytes(bytes: &[u8]) -> anyhow::Result<Vec<Line>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("requests.jsonl");
        fs::write(&path, bytes)?;
        read(&path, Algorithm::Vanilla)
    }

    #[test]
    fn null_is_absent_and_a_byte_order_mark_is_nothing() {
        let request = r#"{"id": 1, "prompt": "a", "prompt_ids": null, "gen_length": null, "nothing": null, "eos": null,
            "messages": null, "steps": null, "cache": null, "threshold": null}"#;
        let lines = read_bytes(format!("\u{feff}{}", request.replace('\n', " ")).as_bytes()).unwrap();
        assert_eq!(lines[0].config, SamplerConfig::default());
        let messages = r#"{"id": 1, "messages": [{"role": "user", "content": "a", "name": null}]}"#;
        assert!(
            matches!(&read_bytes(messages.as_bytes()).unwrap()[0].prompt, Prompt::Messages(said) if said.len() == 1)
        );
        for (request, reason) in [
            (r#"{"id": null, "prompt": "a"}"#, "the request has no id"),
            (r#"{"id": 1, "prompt": null}"#, "exactly one of prompt, prompt_ids and messages"),
            (r#"{"id": 1, "prompt": "a", "nothing": 1}"#, "nothing"),
        ] {
            let error = read_bytes(request.as_bytes()).err().unwrap().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn damaged_requests_are_errors_or_requests() {
        let whole = br#"{"id": 1, "prompt": "a<|mdm_mask|>", "gen_length": 32, "steps": 16, "temperature": 0.5, "seed": 3}
            {"id": "b", "messages": [{"role": "user", "content": "2 + 3"}], "eos": "defer", "algorithm": "fast"}
            {"id": 3, "prompt_ids": [1, 2, 3], "decoder": "threshold", "cache": "dual", "threshold": 0.9, "stop_at_eos": true}"#;
        survives(256, whole, |bytes| drop(read_bytes(bytes)));
    }
}
