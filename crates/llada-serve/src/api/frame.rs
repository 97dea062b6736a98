//! The objects that responses consist of, in the two shapes that OpenAI's interface has.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{answer::Answer, error::ApiError};
use crate::{engine::Finish, service::Shared, settled::Settled};

/// The shape of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `chat.completion`
    Chat,
    /// `text_completion`
    Text,
}

impl Shape {
    pub(super) fn object(self, is_chunk: bool) -> &'static str {
        match (self, is_chunk) {
            (Self::Chat, false) => "chat.completion",
            (Self::Chat, true) => "chat.completion.chunk",
            (Self::Text, _) => "text_completion",
        }
    }

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl",
            Self::Text => "cmpl",
        }
    }

    pub(super) fn choice(self, index: usize, text: &str, finish_reason: Option<&str>) -> Value {
        match self {
            Self::Chat => json!({
                "index": index, "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": null,
                "finish_reason": finish_reason,
            }),
            Self::Text => json!({"index": index, "text": text, "logprobs": null, "finish_reason": finish_reason}),
        }
    }

    pub(super) fn delta(self, index: usize, text: Option<&str>, finish_reason: Option<&str>) -> Value {
        match self {
            Self::Chat => {
                let delta = text.map_or_else(|| json!({}), |text| json!({"content": text}));
                json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason})
            }
            Self::Text => self.choice(index, text.unwrap_or_default(), finish_reason),
        }
    }
}

/// What all objects of a response have in common.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) service: Shared,
    pub(super) shape: Shape,
    pub(super) id: String,
    pub(super) stops: Arc<Vec<String>>,
    pub(super) seed: u64,
    pub(super) has_trace: bool,
}

impl Frame {
    pub(super) fn object(&self, is_chunk: bool, choices: Vec<Value>, others: Value) -> Value {
        let mut object = json!({
            "id": self.id,
            "object": self.shape.object(is_chunk),
            "created": self.service.created,
            "model": self.service.options.model_names[0],
            "system_fingerprint": self.service.fingerprint,
            "choices": choices,
        });
        if let (Value::Object(object), Value::Object(others)) = (&mut object, others) {
            object.extend(others);
        }
        object
    }

    pub(super) fn settled(&self) -> Settled {
        let Self { service, stops, .. } = self;
        Settled::new(Arc::clone(&service.tokenizer), service.ends.clone(), stops.to_vec())
    }

    pub(super) fn answer(&self, finish: &Finish) -> Result<Answer, ApiError> {
        Answer::new(&self.service, &self.stops, finish, self.has_trace)
    }
}
