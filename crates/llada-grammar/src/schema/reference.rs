//! References within a schema: `$ref`, as a JSON pointer (RFC 6901) in a fragment.

use super::{Compiler, Json, Keywords};
use crate::{GrammarError, bytes::Language};

impl<'a> Compiler<'a> {
    /// Returns what the definition allows; nothing where it is open already as often as `max_depth` says.
    pub(super) fn reference(&mut self, keywords: &Keywords<'a, '_>) -> Result<Language, GrammarError> {
        let reference = keywords.string("$ref")?.unwrap_or_default();
        let Some(pointer) = reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            let because = Some("only pointers into the same schema are, as #/$defs/name");
            return Err(GrammarError::Unsupported { pointer: keywords.at("$ref"), because });
        };
        let pointer = decoded(pointer);
        let target = find(self.root, &pointer)
            .ok_or_else(|| keywords.invalid("$ref", format!("there is nothing at {reference:?}")))?;
        let times = self.open.entry(pointer.clone()).or_insert(0);
        if *times == self.options.max_depth {
            return Ok(Language::never());
        }
        *times += 1;
        let language = self.schema(target, &pointer);
        if let Some(times) = self.open.get_mut(&pointer) {
            *times -= 1;
        }
        language
    }

    /// Returns the schema that a schema refers to, through any number of references, or the schema itself.
    pub(super) fn resolved(&self, mut schema: &'a Json) -> Option<&'a Json> {
        for _ in 0..super::NESTING {
            match schema.get("$ref").and_then(Json::as_str) {
                None => return Some(schema),
                Some(reference) => schema = find(self.root, &decoded(reference.strip_prefix('#')?))?,
            }
        }
        None
    }
}

/// Follows a JSON pointer.
fn find<'a>(mut value: &'a Json, pointer: &str) -> Option<&'a Json> {
    for token in pointer.split('/').skip(1) {
        value = match value {
            Json::Object(_) => value.get(&token.replace("~1", "/").replace("~0", "~"))?,
            Json::Array(items) => items.get(token.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// Decodes `%20` and the like, as in fragments of addresses.
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = fragment;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
