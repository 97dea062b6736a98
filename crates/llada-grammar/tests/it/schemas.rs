//! Random schemas: what an automaton accepts is valid, and what is valid is accepted, by the `jsonschema` crate.

use jsonschema::Validator;
use llada_core::rng::{Noise, Stream};
use llada_grammar::{GrammarError, JsonOptions, Limits, Pattern, Whitespace};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{accepts, bytes, sample};

/// Schemas without references, whose objects are closed and have their properties in alphabetical order.
fn schema() -> impl Strategy<Value = Value> {
    let bounds =
        (-300..300_i32, 0..400_i32, any::<[bool; 2]>(), 1..8_u64).prop_map(|(low, width, exclusive, divisor)| {
            let [low_key, high_key] =
                [("minimum", "exclusiveMinimum", exclusive[0]), ("maximum", "exclusiveMaximum", exclusive[1])]
                    .map(|(inclusive, exclusive, is_exclusive)| if is_exclusive { exclusive } else { inclusive });
            (low_key, low, high_key, low + width, divisor)
        });
    let lengths = (0..4_usize, 0..4_usize);
    let leaf = prop_oneof![
        Just(json!({"type": "null"})),
        Just(json!({"type": ["boolean", "null"]})),
        Just(json!({"type": "integer"})),
        Just(json!({"type": "number"})),
        Just(json!({"enum": ["red", "gr\"een", 3, null, [1, {"a": "ü"}], 2.5]})),
        Just(json!({"const": "\n\u{1f600}\\"})),
        (bounds.clone(), any::<bool>()).prop_map(|((low_key, low, high_key, high, divisor), has_divisor)| {
            let mut schema = json!({"type": "integer", low_key: low, high_key: high});
            if has_divisor {
                schema["multipleOf"] = divisor.into();
            }
            schema
        }),
        bounds.prop_map(|(low_key, low, high_key, high, _)| {
            json!({"type": "number", low_key: f64::from(low) / 20.0, high_key: f64::from(high) / 20.0})
        }),
        lengths.clone().prop_map(|(min, more)| json!({"type": "string", "minLength": min, "maxLength": min + more})),
        (lengths.clone(), prop::sample::select(vec!["^[a-c]*$", "b", "a$", r"^\d.", "\"", r"[\s\\]", "é{2}"]))
            .prop_map(|((min, more), pattern)| {
                json!({"type": "string", "pattern": pattern, "minLength": min, "maxLength": min + more})
            }),
        prop::sample::select(vec!["date", "time", "date-time", "uuid", "ipv4", "email"])
            .prop_map(|format| json!({"type": "string", "format": format})),
    ];
    let nested = leaf.clone().prop_recursive(3, 12, 4, move |inner| {
        let required = any::<[bool; 4]>();
        let properties = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            (properties, required).prop_map(|(schemas, required)| {
                let names = ["a", "b\"", "c d", "é"];
                let properties: Map<_, _> = names.iter().map(|&name| name.to_owned()).zip(schemas).collect();
                let required: Vec<_> =
                    names.iter().zip(required).filter(|(name, is)| *is && properties.contains_key(**name)).collect();
                let required: Vec<_> = required.into_iter().map(|(name, _)| name).collect();
                json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
            }),
            (inner.clone(), lengths.clone()).prop_map(|(items, (min, more))| {
                json!({"type": "array", "items": items, "minItems": min, "maxItems": min + more})
            }),
            (prop::collection::vec(inner.clone(), 1..3), inner.clone(), lengths.clone()).prop_map(
                |(prefix, items, (min, more))| {
                    json!({"type": "array", "prefixItems": prefix, "items": items, "minItems": min, "maxItems": min + more})
                }
            ),
            prop::collection::vec(inner, 1..3).prop_map(|options| json!({"anyOf": options})),
            Just(json!({"$ref": "#/$defs/x~1y"})),
        ]
    });
    (nested, leaf).prop_map(|(mut schema, definition)| {
        schema["$defs"] = json!({"x/y": definition});
        schema
    })
}

/// Draws a value that a schema may allow: most are valid.
fn value(schema: &Value, root: &Value, random: &mut Stream) -> Value {
    let below = |random: &mut Stream, bound: usize| random.below(bound.max(1) as u64) as usize;
    if let Some(reference) = schema["$ref"].as_str() {
        return value(root.pointer(&reference[1..]).unwrap_or(&Value::Null), root, random);
    }
    for key in ["anyOf", "enum"] {
        if let Some(options) = schema[key].as_array() {
            let option = &options[below(random, options.len())];
            return if key == "enum" { option.clone() } else { value(option, root, random) };
        }
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    let count = |key: &str, otherwise: usize| schema[key].as_u64().map_or(otherwise, |count| count as usize);
    let bound = |keys: [&str; 2]| keys.iter().find_map(|&key| schema[key].as_f64());
    let kind = schema["type"].as_str().unwrap_or("boolean");
    match kind {
        "integer" | "number" => {
            let low = bound(["minimum", "exclusiveMinimum"]).unwrap_or(-1000.0);
            let high = bound(["maximum", "exclusiveMaximum"]).unwrap_or(1000.0);
            // Up to three steps beyond the bounds, in hundredths or, for most integers, in whole numbers.
            let steps = if kind == "number" || random.uniform() < 0.1 { 100.0 } else { 1.0 };
            let hundredths = (low * steps).round() - 3.0 + (random.uniform() * ((high - low) * steps + 7.0)).floor();
            let number = hundredths / steps;
            if number.fract() == 0.0 { json!(number as i64) } else { json!(number) }
        }
        "string" => {
            let length = count("minLength", 0) + below(random, 5);
            let letters = ['a', 'b', 'é', '1', '"', '\\', '\n', '\u{1f600}', '\u{1}'];
            let letters = if random.uniform() < 0.5 { &letters[..2] } else { &letters };
            let text: String = (0..length).map(|_| letters[below(random, letters.len())]).collect();
            let known = ["2024-02-29", "12:30:00Z", "1999-12-31T23:59:59+00:00", "10.0.0.255", "ab@c.de"];
            if schema.get("format").is_some() { json!(known[below(random, known.len())]) } else { json!(text) }
        }
        "array" => {
            let length = count("minItems", 0) + below(random, 4);
            let prefix = schema["prefixItems"].as_array().map_or(&[][..], Vec::as_slice);
            (0..length).map(|index| value(prefix.get(index).unwrap_or(&schema["items"]), root, random)).collect()
        }
        "object" => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            let mut entries = Map::new();
            for (name, schema) in &properties {
                if random.uniform() < 0.8 {
                    entries.insert(name.clone(), value(schema, root, random));
                }
            }
            entries.into()
        }
        "null" => Value::Null,
        _ => [json!(true), json!(false), Value::Null][below(random, 3)].clone(),
    }
}

/// Writes a value as Python's `json` does.
fn canonical(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| format!("{}: {}", json!(name), canonical(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

/// Checks that texts drawn from the automaton of a schema are JSON and valid.
fn check_samples(schema: &Value, whitespace: Whitespace, seed: u64) -> Result<(), TestCaseError> {
    let options = JsonOptions { whitespace, ..JsonOptions::default() };
    let pattern = Pattern::JsonSchema { schema: schema.into(), options };
    let vocabulary = bytes();
    let automaton = match pattern.compile(&vocabulary, &Limits::default()) {
        // Bounds without an integer between them, patterns of other lengths, and the like.
        Err(GrammarError::Schema { .. } | GrammarError::Empty) => return Ok(()),
        automaton => automaton.unwrap(),
    };
    let mut random = Noise::new(seed).stream(0, 0, 0);
    let validator = validator(schema);
    for _ in 0..30 {
        let text = String::from_utf8(sample(&automaton, &vocabulary, &mut random, 60)).unwrap();
        match serde_json::from_str::<Value>(&text) {
            Ok(value) => prop_assert!(validator.is_valid(&value), "{text} for {schema}"),
            // As 1e999.
            Err(error) => prop_assert!(error.to_string().starts_with("number out of range"), "{text} for {schema}"),
        }
    }
    Ok(())
}

/// Options that cannot overlap, and a definition within itself.
#[test]
fn texts_of_unions_and_of_trees_are_valid() {
    let circle = json!({"type": "object", "properties": {"kind": {"const": "circle"}, "r": {"type": "integer"}},
        "required": ["kind", "r"]});
    let others = json!({"type": "object", "properties": {"kind": {"enum": ["square", "cube"]}, "side": true},
        "required": ["kind"]});
    let union = json!({"oneOf": [circle, others, {"type": ["string", "null"]}, {"enum": [7, 8.5]}]});
    let tree = json!({"type": "object", "required": ["value"], "properties": {
        "children": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}, "value": {"type": ["integer", "null"]}}});
    for schema in [union, tree] {
        for seed in 0..20 {
            check_samples(&schema, Whitespace::Canonical, seed).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn accepted_texts_are_valid(schema in schema(), seed in any::<u64>()) {
        check_samples(&schema, Whitespace::Canonical, seed)?;
        check_samples(&schema, Whitespace::Compact, seed)?;
        check_samples(&schema, Whitespace::Any, seed)?;
    }

    #[test]
    fn values_are_accepted_if_they_are_valid(schema in schema(), seed in any::<u64>()) {
        let validator = validator(&schema);
        let automaton = match Pattern::json_schema(&schema).compile(&bytes(), &Limits::default()) {
            // A part of it contradicts itself.
            Err(GrammarError::Schema { .. }) => return Ok(()),
            automaton => automaton,
        };
        let mut random = Noise::new(seed).stream(0, 0, 0);
        for _ in 0..50 {
            let value = value(&schema, &schema, &mut random);
            let text = canonical(&value);
            let is_accepted = automaton.as_ref().is_ok_and(|automaton| accepts(automaton, &text));
            prop_assert_eq!(is_accepted, validator.is_valid(&value), "{} for {}", text, schema);
        }
    }
}
