//! The objects that responses consist of, in the two shapes that OpenAI's interface has.

use serde_json::{Value, json};

use super::{answer::Answer, sampling::Told, tools::calls};
use crate::{
    service::{Shared, now},
    settled::Settled,
};

/// The shape of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `chat.completion`
    Chat,
    /// `text_completion`
    Text,
}

/// What all objects of a response have in common.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) service: Shared,
    pub(super) shape: Shape,
    pub(super) told: Told,
    id: String,
    created: u64,
}

impl Frame {
    pub(super) fn new(service: Shared, shape: Shape, request_id: &str, told: Told) -> Self {
        let prefix = match shape {
            Shape::Chat => "chatcmpl",
            Shape::Text => "cmpl",
        };
        Self { service, shape, told, id: format!("{prefix}-{request_id}"), created: now() }
    }

    /// Returns a response, or a chunk of one.
    pub(super) fn object(&self, is_chunk: bool, choices: Vec<Value>, others: Value) -> Value {
        let kind = match (self.shape, is_chunk) {
            (Shape::Chat, false) => "chat.completion",
            (Shape::Chat, true) => "chat.completion.chunk",
            (Shape::Text, _) => "text_completion",
        };
        let mut object = self.envelope(kind, others);
        object["choices"] = choices.into();
        object
    }

    /// Returns an object of this kind with what all responses have in common.
    pub(super) fn envelope(&self, kind: &str, others: Value) -> Value {
        let mut object = json!({
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.service.options.model_names[0],
            "system_fingerprint": self.service.fingerprint,
        });
        if let (Value::Object(object), Value::Object(others)) = (&mut object, others) {
            object.extend(others);
        }
        object
    }

    /// Returns a complete answer as a choice.
    pub(super) fn choice(&self, index: usize, answer: &Answer) -> Value {
        let (text, finish_reason) = (answer.text.as_str(), answer.finish_reason);
        match self.shape {
            Shape::Chat => {
                let mut message = json!({"role": "assistant", "content": text, "refusal": null});
                if self.told.is_call {
                    message["content"] = Value::Null;
                    message["tool_calls"] = self.calls(index, text);
                }
                json!({
                    "index": index, "message": message, "logprobs": answer.logprobs, "finish_reason": finish_reason,
                })
            }
            Shape::Text => json!({
                "index": index, "text": text, "logprobs": answer.logprobs, "finish_reason": finish_reason,
            }),
        }
    }

    /// Returns the first chunk of an answer, if the shape has one.
    pub(super) fn opening(&self, index: usize) -> Option<Value> {
        let delta = json!({"role": "assistant", "content": ""});
        (self.shape == Shape::Chat)
            .then(|| json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null}))
    }

    /// Returns a part of an answer.
    pub(super) fn delta(&self, index: usize, text: &str, finish_reason: Option<&str>) -> Value {
        match self.shape {
            Shape::Chat => {
                let delta = if text.is_empty() { json!({}) } else { json!({"content": text}) };
                json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason})
            }
            Shape::Text => json!({"index": index, "text": text, "logprobs": null, "finish_reason": finish_reason}),
        }
    }

    /// Returns an answer that is a call, as a part of a stream.
    pub(super) fn call_delta(&self, index: usize, text: &str) -> Value {
        let delta = json!({"tool_calls": self.calls(index, text)});
        json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null})
    }

    fn calls(&self, index: usize, text: &str) -> Value {
        calls(&format!("call-{}-{index}", self.id), text)
    }

    pub(super) fn settled(&self) -> Settled {
        let Self { service, told, .. } = self;
        let ends = (!told.ignores_ends).then(|| service.ends.clone());
        Settled::new(service.tokenizer.clone(), ends, told.stops.clone())
    }
}
