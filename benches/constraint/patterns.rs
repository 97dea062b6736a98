//! The patterns, from a few states to thousands.

use llada::{GrammarError, JsonOptions, Pattern};

const NESTED: &str = r#"{
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 0, "maximum": 999999},
        "name": {"type": "string", "maxLength": 40},
        "email": {"type": "string", "format": "email"},
        "active": {"type": "boolean"},
        "created": {"type": "string", "format": "date-time"},
        "score": {"type": "number"},
        "address": {
            "type": "object",
            "properties": {
                "street": {"type": "string", "maxLength": 40},
                "city": {"type": "string", "maxLength": 40},
                "zip": {"type": "string", "pattern": "^[0-9]{5}$"}
            },
            "required": ["street", "city", "zip"],
            "additionalProperties": false
        },
        "tags": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "maxItems": 5}
    },
    "required": ["id", "name", "email", "active", "created", "score", "address", "tags"],
    "additionalProperties": false
}"#;

const SMALL: &str = r#"{
    "type": "object",
    "properties": {
        "kind": {"enum": ["question", "answer", "remark"]},
        "confidence": {"type": "number"},
        "sources": {"type": "array", "items": {"type": "string"}}
    },
    "required": ["kind", "confidence", "sources"],
    "additionalProperties": false
}"#;

fn schema(text: &str) -> Result<Pattern, GrammarError> {
    Ok(Pattern::JsonSchema { schema: text.parse()?, options: JsonOptions::default() })
}

/// Returns the patterns with their names.
pub(crate) fn all() -> Result<Vec<(&'static str, Pattern)>, GrammarError> {
    let labels = [
        "sports",
        "politics",
        "science",
        "health",
        "travel",
        "food",
        "music",
        "film",
        "books",
        "business",
        "weather",
        "law",
        "education",
        "technology",
        "art",
        "history",
        "religion",
        "fashion",
        "nature",
        "games",
    ];
    Ok(vec![
        ("ISO date", Pattern::regex("[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")),
        ("20 labels", Pattern::choice(labels)),
        ("enum, number, strings", schema(SMALL)?),
        ("8 fields, nested", schema(NESTED)?),
        ("any JSON object, depth 3", Pattern::json_object()),
    ])
}
