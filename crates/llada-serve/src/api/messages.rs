//! The messages of a conversation, as OpenAI's clients send them.

use llada::Message;
use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;
use crate::service::Shared;

/// A message.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ChatMessage {
    role: String,
    #[serde(default)]
    content: Option<Content>,
    /// Calls that an earlier answer consisted of.
    #[serde(default)]
    tool_calls: Option<Vec<Value>>,
}

/// A text, or its parts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Clone, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

impl ChatMessage {
    fn read(self, index: usize) -> Result<Message, ApiError> {
        // OpenAI's newer name of the same role.
        let role = if self.role == "developer" { "system".to_owned() } else { self.role };
        let mut text = match self.content {
            None => String::new(),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => joined(parts, index)?,
        };
        for call in self.tool_calls.iter().flatten() {
            text.push_str(&call["function"].to_string());
        }
        Ok(Message::new(role, text))
    }
}

fn joined(parts: Vec<Part>, index: usize) -> Result<String, ApiError> {
    let mut joined = String::new();
    for Part { kind, text } in parts {
        let Some(text) = text.filter(|_| kind == "text") else {
            let param = format!("messages[{index}].content");
            let message = format!("a part of the type {kind:?} is not supported, only text is");
            return Err(ApiError::invalid("unsupported_parameter", param, message));
        };
        joined.push_str(&text);
    }
    Ok(joined)
}

/// Reads the messages of a request, of which there must be one at least.
pub(super) fn read(messages: Vec<ChatMessage>) -> Result<Vec<Message>, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::invalid("invalid_parameter", "messages", "there are no messages"));
    }
    (0..).zip(messages).map(|(index, message)| message.read(index)).collect()
}

/// Returns the ids of the prompt that asks for the next message.
pub(super) fn encode(service: &Shared, messages: &[Message]) -> Result<Vec<u32>, ApiError> {
    Ok(service.tokenizer.encode_chat(messages).map_err(llada::Error::from)?)
}
