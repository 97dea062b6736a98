//! Schemas one by one: what each keyword accepts, and what is refused, with its place.

use llada_grammar::{Json, JsonOptions, Pattern, Whitespace};
use serde_json::{Value, json};

use crate::{accepts, compile};

fn check(schema: &str, options: JsonOptions, accepted: &[&str], refused: &[&str]) {
    let automaton = compile(&Pattern::JsonSchema { schema: schema.parse().unwrap(), options }).unwrap();
    accepted.iter().for_each(|text| assert!(accepts(&automaton, text), "{text} for {schema}"));
    refused.iter().for_each(|text| assert!(!accepts(&automaton, text), "{text} for {schema}"));
}

#[test]
fn properties_keep_the_order_of_the_schema() {
    let schema = r#"{"type": "object", "properties": {"z": {"type": "null"}, "a": {"const": 1}, "m\"": {"type": "boolean"}},
        "required": ["a"]}"#;
    let accepted = [r#"{"a": 1}"#, r#"{"z": null, "a": 1}"#, r#"{"z": null, "a": 1, "m\"": true}"#];
    let refused =
        ["{}", r#"{"a": 1, "z": null}"#, r#"{"a": 1, "b": 2}"#, r#"{"a":1}"#, r#"{"z": null}"#, r#"{"a": 1, }"#];
    check(schema, JsonOptions::default(), &accepted, &refused);
    let compact = JsonOptions { whitespace: Whitespace::Compact, ..JsonOptions::default() };
    check(schema, compact, &[r#"{"z":null,"a":1}"#], &[r#"{"z": null, "a": 1}"#]);
    let any = JsonOptions { whitespace: Whitespace::Any, ..JsonOptions::default() };
    check(schema, any, &["{\n\t\"z\" : null,\"a\":\r1 }", r#"{"a":1}"#], &[r#" {"a":1}"#, "{\"a\":1\u{a0}}"]);
}

#[test]
fn what_a_schema_leaves_open_is_any_value_to_a_depth() {
    let options = JsonOptions { max_depth: 2, ..JsonOptions::default() };
    let accepted = ["{}", r#"{"a": 1.5e-3, "b": [null, "é\n"]}"#, r#"{"a": {}}"#];
    check(r#"{"type": "object"}"#, options, &accepted, &[r#"{"a": [[]]}"#, "[]", "1"]);
    check("true", options, &["[[]]", "-0.5", r#""\u0001""#], &["[[[]]]", "01", "1.", r#""\u0041""#, "\"\n\""]);
    check(r#"{"type": "array", "minItems": 2}"#, options, &["[1, []]"], &["[1]"]);
    let map = r#"{"type": "object", "additionalProperties": {"type": "boolean"}}"#;
    check(map, options, &["{}", r#"{"x": true, "y": false}"#], &[r#"{"x": 1}"#]);
    check(r#"{"type": "object", "required": ["x"]}"#, options, &[r#"{"x": [1]}"#], &["{}", r#"{"y": 1}"#]);
    check(r#"{"minimum": 3, "items": {"const": 0}}"#, options, &["3", "4.5", "[0, 0]"], &["2", "null", "[1]"]);
    let tuple = r#"{"prefixItems": [{"const": 1}, {"const": 2}], "minItems": 1}"#;
    check(tuple, options, &["[1]", "[1, 2]"], &["[]", "[2]", "[1, 2, 3]"]);
}

#[test]
fn definitions_are_open_as_often_as_the_depth_says() {
    let tree = r##"{"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {
        "v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["v"]}}}"##;
    let options = JsonOptions { max_depth: 2, ..JsonOptions::default() };
    let accepted = [r#"{"v": 1}"#, r#"{"v": 1, "next": null}"#, r#"{"v": 1, "next": {"v": 2, "next": null}}"#];
    check(tree, options, &accepted, &[r#"{"v": 1, "next": {"v": 2, "next": {"v": 3}}}"#]);
    let list = r##"{"type": "array", "items": {"$ref": "#"}}"##;
    check(list, options, &["[]", "[[], []]"], &["[[[]]]"]);
    let circle = r##"{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}"##;
    let pattern = Pattern::JsonSchema { schema: circle.parse().unwrap(), options };
    assert_eq!(compile(&pattern).unwrap_err().to_string(), "no text matches the pattern");
}

#[test]
fn one_of_is_a_union_of_what_cannot_overlap() {
    let shapes = r##"{"oneOf": [
        {"type": "object", "properties": {"kind": {"const": "circle"}, "r": {"type": "integer"}}, "required": ["kind", "r"]},
        {"type": "object", "properties": {"kind": {"enum": ["square", "cube"]}}, "required": ["kind"]},
        {"type": "object", "properties": {"x": true}, "required": ["x"], "additionalProperties": false},
        {"type": ["string", "null"]}, {"const": 7}]}"##;
    let accepted = [r#"{"kind": "circle", "r": 1}"#, r#"{"kind": "cube"}"#, "null", "7"];
    // The third has no kind, but the first two may have an x.
    let message = |schema: &str| {
        let pattern = Pattern::JsonSchema { schema: schema.parse().unwrap(), options: JsonOptions::default() };
        compile(&pattern).unwrap_err().to_string()
    };
    check(shapes, JsonOptions::default(), &accepted, &[r#"{"kind": "ring"}"#, "8"]);
    let reason = "is invalid: options 0 and 1 may share a value; anyOf allows that";
    for options in
        ["[{\"type\": \"integer\"}, {\"type\": \"number\"}]", "[{\"const\": 1}, {\"const\": 1.0}]", "[true, {}]"]
    {
        assert_eq!(message(&format!("{{\"oneOf\": {options}}}")), format!("the schema's /oneOf {reason}"));
    }
}

#[test]
fn what_is_not_supported_is_refused_with_its_place() {
    let message = |schema: Value| match compile(&Pattern::json_schema(&schema)) {
        Ok(_) => panic!("{schema} is accepted"),
        Err(error) => error.to_string(),
    };
    let beside = "beside $ref, const, enum, anyOf and oneOf only annotations are";
    for (schema, pointer, because) in [
        (json!({"properties": {"a/b": {"not": {}}}}), "/properties/a~1b/not", ""),
        (json!({"items": {"uniqueItems": true}}), "/items/uniqueItems", ""),
        (json!({"allOf": [{}]}), "/allOf", ""),
        (json!({"patternProperties": {}}), "/patternProperties", ""),
        (json!({"enum": ["a"], "minLength": 3}), "/minLength", beside),
        (json!({"anyOf": [true], "type": "null"}), "/type", beside),
        (json!({"$ref": "other.json"}), "/$ref", "only pointers into the same schema are, as #/$defs/name"),
        (json!({"type": "integer", "multipleOf": 0.5}), "/multipleOf", "only integers from 1 to 1000 are"),
        (json!({"format": "hostname"}), "/format", "only date, time, date-time, uuid, ipv4 and email are"),
        (
            json!({"properties": {"a": true}, "additionalProperties": {"type": "null"}}),
            "/additionalProperties",
            "beside properties or required it has to be true or false",
        ),
    ] {
        let because = if because.is_empty() { String::new() } else { format!(": {because}") };
        assert_eq!(message(schema), format!("the schema's {pointer} is not supported{because}"));
    }
}

#[test]
fn contradictions_are_refused_with_their_place() {
    let message = |schema: Value| match compile(&Pattern::json_schema(&schema)) {
        Ok(_) => panic!("{schema} is accepted"),
        Err(error) => error.to_string(),
    };
    for (schema, pointer, reason) in [
        (json!(3), "root", "it is neither an object nor a boolean"),
        (json!({"enum": []}), "/enum", "it is empty"),
        (json!({"enum": [1], "type": "string"}), "/enum", "no value has the type"),
        (json!({"anyOf": []}), "/anyOf", "it is empty"),
        (json!({"type": "text"}), "/type", "it has to be of null, boolean, integer, number, string, array, object"),
        (json!({"minLength": 3, "maxLength": 2}), "/minLength", "it exceeds maxLength"),
        (json!({"maxItems": -1}), "/maxItems", "it is not an integer from 0 to 4294967295"),
        (json!({"minimum": 1e300}), "/minimum", "it has more than 40 digits before or after the point"),
        (json!({"minimum": 3, "exclusiveMaximum": 3}), "root", "no number satisfies all keywords"),
        (json!({"type": "integer", "minimum": 1.2, "maximum": 1.8}), "root", "no number satisfies all keywords"),
        (
            json!({"type": "integer", "minimum": 11, "maximum": 13, "multipleOf": 7}),
            "root",
            "no number satisfies all keywords",
        ),
        (json!({"pattern": "^abc$", "maxLength": 2}), "root", "no string satisfies all keywords"),
        (json!({"pattern": "a(?=b)"}), "/pattern", "flags and looking ahead or behind are not supported"),
        (json!({"required": ["a"], "additionalProperties": false}), "/required", "additionalProperties forbids \"a\""),
        (json!({"$ref": "#/$defs/a"}), "/$ref", "there is nothing at \"#/$defs/a\""),
    ] {
        assert_eq!(message(schema), format!("the schema's {pointer} is invalid: {reason}"));
    }
    let schema = Json::Bool(true);
    for (max_depth, expected) in [(0, "max_depth is 0"), (33, "max_depth 33 exceeds 32")] {
        let options = JsonOptions { max_depth, ..JsonOptions::default() };
        let error = compile(&Pattern::JsonSchema { schema: schema.clone(), options }).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
