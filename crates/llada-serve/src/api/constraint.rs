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

/// The form of an answer under the names that vLLM has had for it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Guided {
    structured_outputs: Option<StructuredOutputs>,
    guided_json: Option<Json>,
    guided_regex: Option<String>,
    guided_choice: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StructuredOutputs {
    json: Option<Json>,
    regex: Option<String>,
    choice: Option<Vec<String>>,
    #[serde(default)]
    json_object: bool,
}

impl ResponseFormat {
    fn pattern(self) -> Option<Pattern> {
        match self {
            Self::Text => None,
            Self::JsonObject => Some(Pattern::json_object()),
            Self::JsonSchema { json_schema: NamedSchema { schema } } => Some(json(schema)),
            Self::Regex { regex } => Some(Pattern::Regex(regex)),
        }
    }
}

impl Constraint {
    fn patterns(self) -> Vec<Option<Pattern>> {
        let Self { regex, choice, json_schema, json_object, whitespace, max_depth } = self;
        let defaults = JsonOptions::default();
        let options = JsonOptions {
            whitespace: whitespace.unwrap_or(defaults.whitespace),
            max_depth: max_depth.unwrap_or(defaults.max_depth),
        };
        vec![
            regex.map(Pattern::Regex),
            choice.map(Pattern::Choice),
            json_schema.map(|schema| Pattern::JsonSchema { schema, options }),
            json_object.then_some(Pattern::JsonObject(options)),
        ]
    }
}

impl Guided {
    fn patterns(self) -> Vec<Option<Pattern>> {
        let Self { structured_outputs, guided_json, guided_regex, guided_choice } = self;
        let mut patterns =
            vec![guided_json.map(json), guided_regex.map(Pattern::Regex), guided_choice.map(Pattern::Choice)];
        if let Some(StructuredOutputs { json: schema, regex, choice, json_object }) = structured_outputs {
            patterns.extend([
                schema.map(json),
                regex.map(Pattern::Regex),
                choice.map(Pattern::Choice),
                json_object.then(Pattern::json_object),
            ]);
        }
        patterns
    }
}

fn json(schema: Json) -> Pattern {
    Pattern::JsonSchema { schema, options: JsonOptions::default() }
}

/// Returns the pattern that a request describes, if it describes one.
pub(super) fn pattern(
    format: Option<ResponseFormat>,
    constraint: Option<Constraint>,
    guided: Guided,
) -> Result<Option<Pattern>, ApiError> {
    let mut patterns = vec![format.and_then(ResponseFormat::pattern)];
    patterns.extend(constraint.map(Constraint::patterns).unwrap_or_default());
    patterns.extend(guided.patterns());
    let mut patterns = patterns.into_iter().flatten();
    match (patterns.next(), patterns.next()) {
        (pattern, None) => Ok(pattern),
        _ => {
            let message =
                "an answer has one pattern: one of response_format, regex, choice, json_schema and json_object";
            Err(ApiError::invalid("invalid_parameter", "diffusion.constraint", message))
        }
    }
}
