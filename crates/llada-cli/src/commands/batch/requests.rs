//! The requests of a batch: every line is checked before the first is answered.

use std::{collections::HashSet, fs, path::Path};

use anyhow::Context;
use llada_infer::{InferError, Request, SamplerConfig};
use llada_model::Message;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{args::read_options, exit::usage, results::digest, session::Session};

/// One request as it was written.
pub(super) struct Line {
    pub(super) id: Value,
    prompt: Prompt,
    config: SamplerConfig,
    text: String,
    number: usize,
}

enum Prompt {
    Text(String),
    Ids(Vec<u32>),
    Messages(Vec<Message>),
}

/// Reads and checks the lines of `path`; empty ones are passed over.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Line>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|e| usage(format!("{}: not UTF-8: {e}", path.display())))?;
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parse = |(index, line): (usize, &str)| {
        let refuse = |message: String| usage(format!("{}:{}: {message}", path.display(), index + 1));
        Line::parse(line, index + 1).map_err(refuse)
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
    fn parse(text: &str, number: usize) -> Result<Self, String> {
        let mut keys: Map<String, Value> = serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))?;
        let id = match keys.remove("id") {
            Some(id @ (Value::String(_) | Value::Number(_))) => id,
            Some(id) => return Err(format!("id {id} is neither a text nor a number")),
            None => return Err(r#"the request has no id; hint: add "id": 1"#.to_owned()),
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
        let config = read_options(keys).map_err(|error| message(&error))?;
        Ok(Self { id, prompt, config, text: text.to_owned(), number })
    }

    /// The request in token ids, checked against the model.
    pub(super) fn request(&self, session: &Session) -> anyhow::Result<Request> {
        let encode = || {
            let prompt = match &self.prompt {
                Prompt::Text(text) => session.encode(text)?,
                Prompt::Ids(ids) => ids.clone(),
                Prompt::Messages(messages) => session.encode_chat(messages)?,
            };
            let request = Request::new(prompt, self.config.clone());
            session.engine.validate(&request).map_err(|error| usage(message(&error)))?;
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
    format!("{error}{}", hint.map_or_else(String::new, |hint| format!("; hint: {hint}")))
}

/// An option as a request has it.
fn key(option: &str, value: &str) -> String {
    let is_number = value.parse::<f64>().is_ok();
    if is_number { format!("{option:?}: {value}") } else { format!("{option:?}: {value:?}") }
}

fn take<T: for<'a> Deserialize<'a>>(keys: &mut Map<String, Value>, key: &str) -> Result<Option<T>, String> {
    let value = keys.remove(key).filter(|value| !value.is_null());
    value.map(serde_json::from_value).transpose().map_err(|e| format!("{key}: {e}"))
}
