//! A thousand answers of llada-tiny to JSON schemas, whatever the sampler: all of them parse, and validate by a validator that
//! knows nothing of automata.

use std::{collections::BTreeSet, ops::ControlFlow};

use llada::{CacheKind, DecoderKind, Json, JsonOptions, Message, Model, Pattern, Request, SamplerConfig, Whitespace};
use serde_json::{Value, json};

use crate::tiny;

const ANSWERS: usize = 1000;
/// The forwards of an answer, at most.
const FORWARDS: [usize; 10] = [1, 2, 4, 1, 8, 2, 1, 3, 5, 32];
/// The tokens of an answer, which fit every schema and the end of a turn.
const GEN_LENGTH: usize = 24;

fn schemas() -> Vec<Value> {
    vec![
        json!({"type": "boolean"}),
        json!({"type": "integer", "minimum": -12, "maximum": 345}),
        json!({"enum": ["red", "green", 7, null, {"deep": [true]}]}),
        json!({"type": "string", "minLength": 2, "maxLength": 9}),
        json!({"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "minItems": 1, "maxItems": 5}),
        json!({
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
            "required": ["name", "age"],
            "additionalProperties": false
        }),
        json!({
            "type": "object",
            "properties": {"a": {"const": "x"}, "b": {"type": "boolean"}, "c": {"type": ["null", "boolean"]}},
            "required": ["b"],
            "additionalProperties": false
        }),
        json!({
            "type": "object",
            "properties": {
                "who": {
                    "type": "object",
                    "properties": {"king": {"type": "boolean"}, "gate": {"enum": ["copper", "silver"]}},
                    "required": ["gate"],
                    "additionalProperties": false
                },
                "tags": {"type": "array", "items": {"enum": ["fox", "lamp"]}, "maxItems": 3}
            },
            "required": ["who"],
            "additionalProperties": false
        }),
        json!({"anyOf": [{"type": "integer", "minimum": 1000, "maximum": 2000}, {"type": "array", "items": {"type": "null"}, "maxItems": 2}]}),
        json!({
            "$defs": {"point": {
                "type": "object",
                "properties": {"x": {"type": "integer", "minimum": -9, "maximum": 9}, "y": {"type": "number", "minimum": 0, "maximum": 1}},
                "required": ["x"],
                "additionalProperties": false
            }},
            "type": "array",
            "items": {"$ref": "#/$defs/point"},
            "minItems": 1,
            "maxItems": 2
        }),
    ]
}

/// The options of an answer: every decoder with every cache, cold and hot, in one block and in several.
fn config(answer: usize) -> SamplerConfig {
    let (decoder, cache) =
        (DecoderKind::ALL[answer % DecoderKind::ALL.len()], CacheKind::ALL[answer % CacheKind::ALL.len()]);
    let forwards = FORWARDS[answer / 7 % FORWARDS.len()];
    let blocks = [1, 2, 4][answer % 3].min(forwards);
    SamplerConfig {
        decoder: decoder.into(),
        cache: cache.into(),
        gen_length: GEN_LENGTH,
        block_length: Some(GEN_LENGTH.div_ceil(blocks)),
        steps: Some(forwards),
        max_nfe: Some(forwards),
        temperature: [0.0, 0.7, 1.5][answer / 3 % 3],
        seed: answer as u64,
        ..Default::default()
    }
}

#[test]
fn every_answer_to_a_schema_parses_and_validates() {
    let mut model = tiny();
    let schemas = schemas();
    let validators: Vec<_> = schemas.iter().map(|schema| jsonschema::validator_for(schema).unwrap()).collect();
    let (mut valid, mut different) = (0, BTreeSet::new());
    for batch in (0..ANSWERS).collect::<Vec<_>>().chunks(250) {
        let requests: Vec<Request> = batch.iter().map(|&answer| request(&model, answer, &schemas)).collect();
        let generations = model.engine_mut().generate_batch(&requests, |_| ControlFlow::Continue(())).unwrap();
        for ((&answer, request), generation) in batch.iter().zip(&requests).zip(generations) {
            let found = model.answer(generation).unwrap();
            let value: Value = serde_json::from_str(&found.text)
                .unwrap_or_else(|error| panic!("{answer}: {error}: {:?}, {:?}", found.text, request.config));
            let index = answer % schemas.len();
            assert!(
                validators[index].is_valid(&value),
                "{answer}: {value} under {}, {:?}",
                schemas[index],
                request.config
            );
            assert!(
                Some(found.nfe) <= request.config.max_nfe,
                "{answer}: {} forwards, {:?}",
                found.nfe,
                request.config
            );
            valid += 1;
            different.insert(found.text);
        }
    }
    assert_eq!(valid, ANSWERS);
    assert!(different.len() > ANSWERS / 4, "{} different answers", different.len());
}

fn request(model: &Model, answer: usize, schemas: &[Value]) -> Request {
    let schema = &schemas[answer % schemas.len()];
    let question = format!("Answer number {answer} as JSON.");
    let prompt = model.tokenizer().unwrap().encode_chat(&[Message::new("user", &question)]).unwrap();
    let whitespace = [Whitespace::Canonical, Whitespace::Compact, Whitespace::Any][answer / 10 % 3];
    let options = JsonOptions { whitespace, ..Default::default() };
    let pattern = Pattern::JsonSchema { schema: Json::from(schema), options };
    Request::new(prompt, config(answer)).with_constraint(model.compile(&pattern).unwrap())
}
