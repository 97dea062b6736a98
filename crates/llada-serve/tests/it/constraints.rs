//! Answers with a form.

use llada_serve::ServeOptions;
use serde_json::{Value, json};

use crate::server::{QUESTION, Server, chat, content};

#[test]
fn schemas_are_always_kept() {
    let server = Server::start(ServeOptions::default());
    let schema = json!({
        "type": "object", "properties": {"sum": {"type": "integer", "minimum": 0, "maximum": 999}, "sure": {"type": "boolean"}},
        "required": ["sum", "sure"], "additionalProperties": false,
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    for steps in [1, 4] {
        // Without strict, which many clients leave out.
        let format = json!({"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}});
        let keys = json!({
            "response_format": format, "temperature": 3.0, "seed": steps,
            "diffusion": {"decoder": "schedule", "steps": steps, "block_length": 32},
        });
        let answer = server.post("/v1/chat/completions", &chat(QUESTION, keys));
        let value: Value = serde_json::from_str(content(&answer)).unwrap();
        assert!(validator.is_valid(&value), "{value}");
        assert!(answer["usage"]["diffusion"]["forced"].as_u64().unwrap() > 0);
        assert!(answer["diffusion"]["constraint"]["log_mass"].as_f64().unwrap() < 0.0);
    }
}

#[test]
fn every_way_to_ask_for_a_form_works() {
    let server = Server::start(ServeOptions::default());
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    for keys in [
        json!({"response_format": {"type": "regex", "regex": "[0-9]+"}}),
        json!({"diffusion": {"constraint": {"regex": "[0-9]+"}}}),
        json!({"diffusion": {"constraint": {"choice": ["17", "423"]}}}),
        json!({"structured_outputs": {"regex": "[0-9]+"}}),
        json!({"guided_choice": ["17", "423"]}),
        json!({"guided_json": {"type": "integer"}}),
    ] {
        let answer = server.post("/v1/chat/completions", &chat(QUESTION, keys.clone()));
        assert!(digits(content(&answer)), "{keys}: {answer}");
    }
    let object =
        server.post("/v1/chat/completions", &chat(QUESTION, json!({"response_format": {"type": "json_object"}})));
    assert!(serde_json::from_str::<Value>(content(&object)).unwrap().is_object());
}

#[test]
fn impossible_forms_are_refused_before_the_first_forward() {
    let server = Server::start(ServeOptions::default());
    for (keys, code, param) in [
        (
            json!({"max_tokens": 1, "response_format": {"type": "regex", "regex": "[0-9]{40}"}}),
            "constraint_unsatisfiable",
            "max_completion_tokens",
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"not": {}}}}}),
            "unsupported_schema",
            "response_format",
        ),
        (json!({"response_format": {"type": "regex", "regex": "("}}), "invalid_constraint", "response_format"),
        (
            json!({"guided_regex": "a", "response_format": {"type": "json_object"}}),
            "invalid_parameter",
            "diffusion.constraint",
        ),
    ] {
        let (status, error) = server.refused("/v1/chat/completions", &chat(QUESTION, keys));
        assert_eq!((status, &error["code"], &error["param"]), (400, &json!(code), &json!(param)), "{error}");
    }
    assert_eq!(server.metric("llada_forwards_total"), 0.0);
}
