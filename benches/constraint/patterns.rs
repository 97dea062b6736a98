//! The patterns, from a few states to more than a thousand.

use llada::{GrammarError, JsonOptions, Pattern};

const SMALL: &str = r#"{
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "green", "blue"]},
        "weight": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}}
    },
    "required": ["colour", "weight", "tags"]
}"#;

const NESTED: &str = r#"{
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "name": {"type": "string", "maxLength": 40},
        "born": {"type": "string", "format": "date"},
        "seen": {"type": "string", "format": "date-time"},
        "address": {
            "type": "object",
            "properties": {
                "street": {"type": "string", "maxLength": 40},
                "zip": {"type": "string", "pattern": "^[0-9]{5}$"}
            },
            "required": ["street", "zip"]
        },
        "tags": {"type": "array", "items": {"enum": ["new", "regular", "gone"]}, "maxItems": 5},
        "score": {"type": "number", "minimum": 0, "maximum": 100},
        "is_active": {"type": "boolean"}
    },
    "required": ["id", "name", "born", "address", "tags", "score"]
}"#;

/// Returns the patterns with their names.
pub(crate) fn all() -> Result<Vec<(&'static str, Pattern)>, GrammarError> {
    Ok(vec![
        ("ISO date", Pattern::regex("[0-9]{4}-[0-9]{2}-[0-9]{2}")),
        ("20 labels", Pattern::choice((1..=20_u32).map(|label| format!("category{}", label * 37 % 101)))),
        ("enum, number, list of strings", schema(SMALL)?),
        ("8 fields, nested, dates, strings of at most 40", schema(NESTED)?),
        ("any JSON object, depth 3", Pattern::json_object()),
    ])
}

fn schema(text: &str) -> Result<Pattern, GrammarError> {
    Ok(Pattern::JsonSchema { schema: text.parse()?, options: JsonOptions::default() })
}
