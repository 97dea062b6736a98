//! The requests of a batch: every line is checked before the first is answered.

use std::{collections::HashSet, path::Path};

use anyhow::Context;
use llada_infer::{InferError, Request, SamplerConfig};
use llada_model::Message;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    args::{Algorithm, Eos},
    exit::{hinted, usage},
    file::read_text,
    results::digest,
    session::Session,
};

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
    let text = read_text(path)?;
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
        keys.retain(|_, value| !value.is_null());
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
        let algorithm: Algorithm = take(&mut keys, "algorithm")?.unwrap_or_default();
        let eos: Eos = take(&mut keys, "eos")?.unwrap_or_default();
        let mut config = SamplerConfig::deserialize(Value::Object(keys)).map_err(|e| e.to_string())?;
        algorithm.apply(&mut config);
        eos.apply(&mut config);
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
            let request = Request { prompt, config: self.config.clone() };
            session.engine.validate(&request).map_err(refused)?;
            anyhow::Ok(request)
        };
        encode().with_context(|| format!("line {} (id {})", self.number, self.id))
    }

    /// The digest of the request under these settings.
    pub(super) fn digest(&self, settings: &str) -> String {
        digest(settings, &self.text)
    }
}

/// A request has keys, no flags.
fn refused(error: InferError) -> anyhow::Error {
    match error {
        InferError::TooLong { prompt, max_sequence_length, .. } => match max_sequence_length.saturating_sub(prompt) {
            0 => hinted(&error, "shorten the prompt"),
            room => hinted(&error, &format!("\"gen_length\": {room} is the most that fits")),
        },
        InferError::NothingToDo => hinted(&error, "\"gen_length\": 128"),
        InferError::Budget { blocks, .. } => {
            hinted(&error, &format!("\"max_nfe\": {blocks}, or a larger \"block_length\""))
        }
        other => other.into(),
    }
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
        read(&path)
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
