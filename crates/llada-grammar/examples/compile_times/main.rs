//! How long five patterns take to compile for a vocabulary of 100,256 tokens, and how large their automata are.
//!
//! ```bash
//! cargo run --release -p llada-grammar --example compile_times -- [TOKENS]
//! ```
#![allow(clippy::print_stdout, reason = "an example's output")]

mod synthetic;

use std::{error::Error, time::Instant};

use llada_grammar::{JsonOptions, Limits, Pattern};

fn main() -> Result<(), Box<dyn Error>> {
    let tokens = std::env::args().nth(1).map_or(Ok(100_256), |text| text.parse())?;
    let start = Instant::now();
    let vocabulary = synthetic::vocabulary(tokens)?;
    println!("vocabulary of {tokens} tokens in {:?}", start.elapsed());
    println!("| pattern | states | transitions | classes | edges | compile | shortest |");
    println!("|---|---|---|---|---|---|---|");
    for (name, pattern) in patterns()? {
        let start = Instant::now();
        let automaton = pattern.compile(&vocabulary, &Limits::default())?;
        let time = start.elapsed();
        let edges = (0..automaton.states() as u32).flat_map(|state| automaton.edges(state));
        let transitions: usize = edges.clone().map(|edge| automaton.members(edge.class).len()).sum();
        let (states, classes, edges) = (automaton.states(), automaton.classes(), edges.count());
        let shortest = automaton.distance(automaton.start()).unwrap_or_default();
        println!("| {name} | {states} | {transitions} | {classes} | {edges} | {time:.0?} | {shortest} |");
    }
    Ok(())
}

/// Patterns from simple to complex, with their names.
fn patterns() -> Result<Vec<(&'static str, Pattern)>, Box<dyn Error>> {
    let schema =
        |text: &str| text.parse().map(|schema| Pattern::JsonSchema { schema, options: JsonOptions::default() });
    Ok(vec![
        ("ISO date", Pattern::regex("[0-9]{4}-[0-9]{2}-[0-9]{2}")),
        ("20 labels", Pattern::choice((1..=20_u32).map(|label| format!("category{}", label * 37 % 101)))),
        (
            "enum, number, list of strings",
            schema(
                r#"{"type": "object", "required": ["colour", "weight", "tags"], "properties": {
                    "colour": {"enum": ["red", "green", "blue"]},
                    "weight": {"type": "number"},
                    "tags": {"type": "array", "items": {"type": "string"}}}}"#,
            )?,
        ),
        (
            "eight fields, nested, dates, string of at most 40",
            schema(
                r#"{"type": "object", "required": ["id", "name", "born", "address", "tags", "score"], "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "name": {"type": "string", "maxLength": 40},
                    "born": {"type": "string", "format": "date"},
                    "seen": {"type": "string", "format": "date-time"},
                    "address": {"type": "object", "required": ["street", "zip"], "properties": {
                        "street": {"type": "string", "maxLength": 40}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"}}},
                    "tags": {"type": "array", "items": {"enum": ["new", "regular", "gone"]}, "maxItems": 5},
                    "score": {"type": "number", "minimum": 0, "maximum": 100},
                    "is_active": {"type": "boolean"}}}"#,
            )?,
        ),
        ("any JSON object, depth 3", Pattern::json_object()),
    ])
}
