//! The pattern of an answer, as OpenAI's `response_format` or this server's `constraint` describe it.

use llada::{Json, JsonOptions, Pattern, Whitespace};
use serde::Deserialize;

use super::error::ApiError;

/// The form of an answer in OpenAI's interface.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: NamedSchema },
    Regex { regex: String },
}

/// A schema with its name, which OpenAI requires. It is always kept strictly.
#[derive(Debug, Deserialize)]
pub(super) struct NamedSchema {
    schema: Json,
}

/// The form of an answer: at most one of the first four keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Constraint {
    regex: Option<String>,
    choice: Option<Vec<String>>,
    json_schema: Option<Json>,
    #[serde(default)]
    json_object: bool,
    whitespace: Option<Whitespace>,
    max_depth: Option<usize>,
}

/// Returns the pattern that a request describes, if it describes one.
pub(super) fn pattern(
    format: Option<ResponseFormat>,
    constraint: Option<Constraint>,
) -> Result<Option<Pattern>, ApiError> {
    let formatted = match format {
        None | Some(ResponseFormat::Text) => None,
        Some(ResponseFormat::JsonObject) => Some(Pattern::json_object()),
        Some(ResponseFormat::JsonSchema { json_schema: NamedSchema { schema } }) => {
            Some(Pattern::JsonSchema { schema, options: JsonOptions::default() })
        }
        Some(ResponseFormat::Regex { regex }) => Some(Pattern::Regex(regex)),
    };
    let Some(Constraint { regex, choice, json_schema, json_object, whitespace, max_depth }) = constraint else {
        return Ok(formatted);
    };
    let defaults = JsonOptions::default();
    let options = JsonOptions {
        whitespace: whitespace.unwrap_or(defaults.whitespace),
        max_depth: max_depth.unwrap_or(defaults.max_depth),
    };
    let patterns = [
        formatted,
        regex.map(Pattern::Regex),
        choice.map(Pattern::Choice),
        json_schema.map(|schema| Pattern::JsonSchema { schema, options }),
        json_object.then_some(Pattern::JsonObject(options)),
    ];
    let mut patterns = patterns.into_iter().flatten();
    match (patterns.next(), patterns.next()) {
        (pattern, None) => Ok(pattern),
        _ => Err(ApiError::invalid(
            "invalid_parameter",
            "diffusion.constraint",
            "an answer has one pattern: one of response_format, regex, choice, json_schema and json_object",
        )),
    }
}
