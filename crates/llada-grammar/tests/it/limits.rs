//! Limits: each ends in an error of its own, soon, on a vocabulary of 157,000 tokens.

use std::time::{Duration, Instant};

use llada_grammar::{GrammarError, Limits, Pattern};
use serde_json::json;

use crate::{bytes, compile, synthetic};

#[test]
fn each_limit_has_an_error() {
    let pattern = Pattern::regex("[ab]{50}");
    let vocabulary = bytes();
    let limits = Limits { states: 51, ..Limits::default() };
    assert_eq!(pattern.compile(&vocabulary, &limits).unwrap().states(), 51);
    let error = pattern.compile(&vocabulary, &Limits { states: 50, ..limits }).unwrap_err();
    assert_eq!(error, GrammarError::TooManyStates { limit: 50 });
    let error = pattern.compile(&vocabulary, &Limits { dfa_bytes: 500, ..limits }).unwrap_err();
    assert_eq!(error, GrammarError::TooLarge { limit: 500 });
    let time = Duration::ZERO;
    let error = pattern.compile(&vocabulary, &Limits { time, ..limits }).unwrap_err();
    assert_eq!(error, GrammarError::TooSlow { limit: time });
    assert_eq!(error.to_string(), "the pattern is too complex: it was not compiled within 0ns");
    assert_eq!(error.hint().unwrap().to_string(), "simplify the pattern, or raise the limit");
}

#[test]
fn hostile_patterns_end_in_an_error_soon() {
    let mut deep = json!({"type": "string"});
    for _ in 0..200 {
        deep = json!({"type": "array", "items": deep});
    }
    let twice = |next: &str| json!({"type": "array", "prefixItems": [{"$ref": next}, {"$ref": next}]});
    let doubling: serde_json::Map<_, _> =
        (0..60).map(|number| (number.to_string(), twice(&format!("#/$defs/{}", number + 1)))).collect();
    let mut doubling = json!({"$defs": doubling, "$ref": "#/$defs/0"});
    doubling["$defs"]["60"] = json!({"type": "null"});
    let patterns = [
        Pattern::regex("(((a{100}){100}){100}){100}"),
        Pattern::regex("[ab]*a[ab]{25}"),
        Pattern::regex(r"(\p{L}{1,500}x?){1,500}"),
        Pattern::json_schema(&json!({"type": "string", "minLength": 4_000_000_000_u32})),
        Pattern::json_schema(&json!({"type": "string", "pattern": "a.{0,30}b.{0,30}c.{0,30}d"})),
        Pattern::json_schema(&json!({"type": "array", "items": {"type": "string"}, "maxItems": 1_000_000_000})),
        Pattern::json_schema(&deep),
        Pattern::json_schema(&doubling),
    ];
    let limits = Limits { time: Duration::from_secs(2), ..Limits::default() };
    for pattern in patterns {
        let start = Instant::now();
        let Err(error) = pattern.compile(&bytes(), &limits) else { panic!("{pattern:?} is compiled") };
        assert!(start.elapsed() < Duration::from_secs(20), "{pattern:?} took {:?}", start.elapsed());
        let is_expected = matches!(
            error,
            GrammarError::TooManyStates { .. }
                | GrammarError::TooLarge { .. }
                | GrammarError::TooSlow { .. }
                | GrammarError::Schema { .. }
        );
        assert!(is_expected, "{pattern:?}: {error}");
    }
}

#[test]
fn schemas_compile_for_the_largest_vocabularies() {
    let vocabulary = synthetic::vocabulary(157_000).unwrap();
    let schema = json!({"type": "object", "properties": {
        "born": {"type": "string", "format": "date"}, "tags": {"type": "array", "items": {"enum": ["new", "old"]}}}});
    let automaton = Pattern::json_schema(&schema).compile(&vocabulary, &Limits::default()).unwrap();
    assert_eq!(automaton.tokens(), 157_000);
    // Classes are few, and a token alone is as good as its bytes.
    assert!(automaton.classes() < 500, "{} classes", automaton.classes());
    let by_bytes = compile(&Pattern::json_schema(&schema)).unwrap();
    assert!(automaton.states() <= by_bytes.states());
    assert!(automaton.distance(0) < by_bytes.distance(0));
}
