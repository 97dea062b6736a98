//! Messages of a conversation, and their form in JSON.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::Value;

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The author: `system`, `user` or `assistant`.
    pub role: String,
    /// The text of the message.
    pub content: String,
    /// True if the JSON has the content before the role. The order matters because a template may write a message as
    /// JSON.
    content_first: bool,
}

impl Message {
    /// Creates a message.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), content_first: false }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries = [("role", &self.role), ("content", &self.content)];
        if self.content_first {
            entries.reverse();
        }
        let mut map = serializer.serialize_map(Some(entries.len()))?;
        for (key, text) in entries {
            map.serialize_entry(key, text)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Message;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a message, {\"role\": \"user\", \"content\": \"...\"}")
    }

    /// Ignores keys whose value is null, and refuses unknown keys.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
        let (mut role, mut content, mut content_first) = (None, None, false);
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            let text = match (key.as_str(), value) {
                (_, Value::Null) => continue,
                ("role" | "content", Value::String(text)) => text,
                ("role" | "content", other) => return Err(Error::custom(format!("`{key}` is {other}, not a text"))),
                _ => return Err(Error::unknown_field(&key, &["role", "content"])),
            };
            let place = if key == "role" { &mut role } else { &mut content };
            if place.replace(text).is_some() {
                return Err(Error::custom(format!("duplicate field `{key}`")));
            }
            content_first |= role.is_none();
        }
        Ok(Message {
            role: role.ok_or_else(|| Error::missing_field("role"))?,
            content: content.ok_or_else(|| Error::missing_field("content"))?,
            content_first,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Message, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn null_is_absent_and_order_is_kept() {
        let nulls = r#"{"name": null, "role": "user", "tool_calls": null, "content": "a", "weight": null}"#;
        assert_eq!(read(nulls).unwrap(), Message::new("user", "a"));
        for json in [r#"{"role":"user","content":"a"}"#, r#"{"content":"a","role":"user"}"#] {
            assert_eq!(serde_json::to_string(&read(json).unwrap()).unwrap(), json);
        }
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        for (json, reason) in [
            (r#"{"role": "user", "content": "a", "name": "b"}"#, "unknown field `name`, expected `role` or `content`"),
            (r#"{"role": "user", "content": null}"#, "missing field `content`"),
            (r#"{"role": "user", "content": ["a"]}"#, "`content` is [\"a\"], not a text"),
            (r#"{"role": 1, "content": "a"}"#, "`role` is 1, not a text"),
            (r#"{"role": "user", "role": "user", "content": "a"}"#, "duplicate field `role`"),
            (r#""user""#, "expected a message"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
