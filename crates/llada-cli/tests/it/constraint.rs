//! Constraints as a user types them: flags of `llada generate`, keys of `llada batch`, `llada compare`, and what is refused.

use std::{fs, process::Output};

use serde_json::{Value, json as object};
use tempfile::tempdir;

use crate::{book::root, command, report, stderr, stdout};

const QUESTION: [&str; 2] = ["--chat", "What is 345 + 78?"];

fn llada(subcommand: &str, args: &[&str]) -> Output {
    command().args([subcommand, "--model"]).arg(root().join("models/llada-tiny")).args(args).output().unwrap()
}

/// `llada generate --json`, the question at four steps.
fn generate(args: &[&str]) -> Value {
    report(&llada("generate", &[&QUESTION[..], &["--json", "--gen-length", "32", "--steps", "4"], args].concat()))
}

/// `llada batch` of these requests, and their results.
fn batch(requests: &[Value]) -> Vec<Value> {
    let text: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let (output, results) = batch_of(&text);
    stdout(&output);
    results.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The same, of the text of a file.
fn batch_of(requests: &str) -> (Output, String) {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("requests.jsonl"), requests).unwrap();
    let output = llada("batch", &["--input", &path("requests.jsonl"), "--output", &path("results.jsonl")]);
    (output, fs::read_to_string(path("results.jsonl")).unwrap_or_default())
}

#[test]
fn an_answer_is_what_the_flag_allows() {
    let sum = generate(&["--regex", "[0-9]{3}"]);
    assert_eq!((&sum["text"], &sum["finish_reason"]), (&"423".into(), &"stop".into()));
    assert!(sum["log_mass"].as_f64().unwrap() <= 0.0 && sum["forced"].is_u64(), "{sum}");
    let colour = generate(&["--choice", "red", "--choice", "green"])["text"].clone();
    assert!(colour == "red" || colour == "green", "{colour}");
    let folder = tempdir().unwrap();
    let schema = folder.path().join("schema.json");
    let text = r#"{"type": "object", "properties": {"sum": {"type": "integer", "minimum": 0, "maximum": 999},
        "a": {"type": "boolean"}}, "required": ["sum", "a"], "additionalProperties": false}"#;
    fs::write(&schema, text).unwrap();
    let schema = ["--json-schema", schema.to_str().unwrap()];
    let shown = generate(&schema)["text"].as_str().unwrap().to_owned();
    let value: Value = serde_json::from_str(&shown).unwrap();
    assert!(value["sum"].as_u64().unwrap() < 1000 && value["a"].is_boolean());
    // The order is the schema's, and the spaces are as asked.
    assert!(shown.starts_with("{\"sum\": "), "{shown}");
    let compact = generate(&[&schema[..], &["--json-whitespace", "compact"]].concat());
    assert!(compact["text"].as_str().unwrap().starts_with("{\"sum\":"), "{compact}");
    let any = generate(&["--json-object", "--json-max-depth", "1"])["text"].as_str().unwrap().to_owned();
    assert!(serde_json::from_str::<Value>(&any).unwrap().is_object(), "{any}");
    // Without a constraint there is nothing to say of one.
    let free = generate(&[]);
    assert!(free["forced"].is_null() && free["log_mass"].is_null(), "{free}");
}

/// Digits are tokens of their own. Where an end fits, it is that of the text or that of the turn, and the model chooses.
#[test]
fn what_leaves_no_choice_takes_no_forward() {
    let only =
        |args: &[&str]| report(&llada("generate", &[&QUESTION[..], &["--json", "--regex", "42"], args].concat()));
    let filled = only(&["--gen-length", "2"]);
    assert_eq!((&filled["text"], &filled["nfe"], &filled["forced"]), (&"42".into(), &0.into(), &2.into()));
    assert!(filled["log_mass"].is_null(), "{filled}");
    let ended = only(&["--gen-length", "32"]);
    assert_eq!((&ended["text"], &ended["nfe"], &ended["forced"]), (&"42".into(), &1.into(), &31.into()));
}

#[test]
fn holes_have_patterns_of_their_own() {
    let mask = "<|mdm_mask|>";
    let prompt = format!("12 + 7 = {mask}{mask}, 1 + 1 = {mask}.");
    let args = ["--prompt", &prompt, "--gen-length", "0", "--json", "--hole-regex", "[0-9]{2}"];
    let filled = report(&llada("generate", &[&args[..], &["--hole-regex", "2"]].concat()));
    let text = filled["filled_prompt"].as_str().unwrap();
    let digits = text.strip_prefix("12 + 7 = ").and_then(|rest| rest.strip_suffix(", 1 + 1 = 2.")).unwrap();
    assert!(digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit()), "{text}");
    // An empty expression leaves its run free.
    let second = ["--prompt", &prompt, "--gen-length", "0", "--json", "--hole-regex", "", "--hole-regex", "[89]"];
    let filled = report(&llada("generate", &second));
    let text = filled["filled_prompt"].as_str().unwrap();
    assert!(text.ends_with("8.") || text.ends_with("9."), "{text}");
}

#[test]
fn requests_have_the_same_keys() {
    let request = |id: usize, keys: Value| {
        let messages = [object!({"role": "user", "content": QUESTION[1]})];
        let mut request = object!({"id": id, "messages": messages, "gen_length": 32, "steps": 4});
        request.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        request
    };
    let mask = "<|mdm_mask|>";
    let prompt = format!("1 + 1 = {mask}, {mask} or {mask}.");
    let holes = object!([null, "[89]", {"choice": ["4", "5"]}]);
    let results = batch(&[
        request(1, object!({"regex": "[0-9]{3}"})),
        request(2, object!({"choice": ["red", "green"]})),
        request(3, object!({"json_object": true, "json_whitespace": "compact", "json_max_depth": 1})),
        request(4, object!({"json_object": false, "regex": null})),
        object!({"id": 5, "prompt": prompt, "gen_length": 0, "holes": holes}),
    ]);
    let text = |index: usize, key: &str| results[index][key].as_str().unwrap().to_owned();
    assert_eq!((text(0, "text"), &results[0]["forced"].is_u64()), ("423".to_owned(), &true));
    assert!(["red", "green"].contains(&text(1, "text").as_str()), "{}", results[1]);
    let json = text(2, "text");
    assert!(serde_json::from_str::<Value>(&json).unwrap().is_object() && !json.contains(": "), "{json}");
    assert!(results[3]["forced"].is_null(), "{}", results[3]);
    let filled = text(4, "filled_prompt");
    let (second, third) = filled.rsplit_once(", ").unwrap().1.split_once(" or ").unwrap();
    assert!(["8", "9"].contains(&second) && ["4.", "5."].contains(&third), "{filled}");
}

/// Objects are written with their properties in the schema's order, which a map of keys would lose.
#[test]
fn a_request_keeps_the_order_of_properties() {
    let schema =
        r#"{"type": "object", "properties": {"z": {"type": "boolean"}, "a": {"const": 1}, "m": {"type": "null"}},
        "required": ["z", "a", "m"], "additionalProperties": false}"#
            .replace('\n', "");
    let hole = format!(
        "\"prompt\": \"JSON: {}\", \"gen_length\": 0, \"holes\": [{{\"json_schema\": {schema}}}]",
        "<|mdm_mask|>".repeat(24)
    );
    let answer = format!("\"prompt\": \"JSON: \", \"gen_length\": 32, \"json_schema\": {schema}");
    let (output, results) = batch_of(&format!("{{\"id\": 1, {answer}}}\n{{\"id\": 2, {hole}}}\n"));
    stdout(&output);
    for (line, key) in results.lines().zip(["text", "filled_prompt"]) {
        let result: Value = serde_json::from_str(line).unwrap();
        let text = result[key].as_str().unwrap();
        let places: Vec<_> = ["\"z\"", "\"a\"", "\"m\""].iter().map(|name| text.find(name).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }
    assert_eq!(results.lines().count(), 2);
}

#[test]
fn impossible_patterns_are_refused() {
    let folder = tempdir().unwrap();
    let schema = |text: &str| {
        let path = folder.path().join("schema.json");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unsupported = schema(r#"{"type": "array", "items": {"type": "object", "patternProperties": {}}}"#);
    let long = ["--gen-length", "8", "--regex", "[0-9]{20}"];
    for (args, parts) in [
        (&["--regex", "a", "--choice", "b"][..], &["cannot be used with"][..]),
        (&["--json-schema", &unsupported], &["/items/patternProperties", "not supported"]),
        (&["--json-schema", "nowhere.json"], &["nowhere.json"]),
        (&long, &["the shortest valid answer has 20 tokens, gen_length is 8", "\nhint: --gen-length 20 or more"]),
        (&["--regex", "(a"], &["the regular expression \"(a\" is refused"]),
        (&["--regex", "[a&&b]"], &["no text matches"]),
        (&["--hole-regex", "a"], &["1 constraints for the 0 runs of masks"]),
        (&["--json-whitespace", "any"], &["--json-schema <FILE>|--json-object"]),
        (&["--json-object", "--json-whitespace", "wide"], &["wide", "canonical, compact, any"]),
    ] {
        let output = llada("generate", &[&QUESTION[..], args].concat());
        let (message, code) = (stderr(&output), if args.contains(&"nowhere.json") { 3 } else { 2 });
        assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{args:?}: {message}");
        assert!(output.stdout.is_empty());
    }
    schema("{\"type\": ");
    let torn = llada("generate", &[&QUESTION[..], &["--json-schema", &unsupported]].concat());
    assert_eq!(torn.status.code(), Some(2));
    assert!(stderr(&torn).contains("schema.json: "), "{}", stderr(&torn));
}

#[test]
fn impossible_keys_are_refused_with_their_line() {
    for (keys, part) in [
        (r#""regex": "a", "json_object": true"#, "an answer has one pattern"),
        (r#""choice": []"#, "no text matches"),
        (r#""json_max_depth": 3"#, "json_whitespace and json_max_depth go with json_schema and json_object"),
        (r#""regex": "(a""#, "the regular expression \"(a\" is refused"),
        (r#""regex": 7"#, "invalid type"),
        (r#""json_schema": {"not": {}}"#, "/not is not supported"),
        (r#""holes": ["a"]"#, "1 constraints for the 0 runs of masks"),
        (r#""holes": [{"regexx": "a"}]"#, "regexx"),
        (r#""regex": "[0-9]{20}""#, "the shortest valid answer has 20 tokens"),
    ] {
        let valid = r#"{"id": 1, "prompt": "a", "gen_length": 8}"#;
        let (output, results) =
            batch_of(&format!("{valid}\n{{\"id\": 2, \"prompt\": \"a\", \"gen_length\": 8, {keys}}}\n"));
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{keys}: {message}");
        let has_line = message.contains("requests.jsonl:2: ") || message.contains("line 2 (id 2): ");
        assert!(has_line && message.contains(part), "{keys}: {message}");
        assert_eq!(results, "", "{keys}");
    }
}

/// What is forced before the first forward is no step, in the log and in the picture.
#[test]
fn forced_tokens_are_shown_as_such() {
    let folder = tempdir().unwrap();
    let picture = folder.path().join("trace.svg");
    let args = ["--gen-length", "32", "--steps", "2", "--regex", "The sum is [0-9]{3}\\.", "--watch", "--trace"];
    let output = llada("generate", &[&QUESTION[..], &args, &[picture.to_str().unwrap()]].concat());
    assert!(stdout(&output).starts_with("The sum is "));
    let shown = stderr(&output);
    let heads: Vec<&str> = shown.lines().filter_map(|line| line.split_once("  block")).map(|(head, _)| head).collect();
    assert_eq!(heads, ["forced   ", "step    1", "step    2"], "{shown}");
    let drawn = fs::read_to_string(&picture).unwrap();
    for part in ["\nforced\n", "\nstep 1\n", "\nstep 2\n", "class=\"forced\"", ".forced { fill"] {
        assert!(drawn.contains(part), "{part}: {drawn}");
    }
    assert!(!drawn.contains("\nstep 3\n"));
}

#[test]
fn a_comparison_tells_what_a_form_changes() {
    let compare = |args: &[&str]| {
        let hot = ["--tasks", "2", "--gen-length", "32", "--steps", "2", "--temperature", "3", "--json"];
        report(&llada("compare", &[&hot, args].concat()))
    };
    let compared = compare(&["--constrain"]);
    assert_eq!((&compared["prompts"], &compared["compared"]["valid"]), (&8.into(), &1.0.into()), "{compared}");
    assert_eq!(compared["vanilla"]["forced"], 0);
    assert!(compared["vanilla"]["valid"].as_f64().unwrap() < 1.0 && compared["compared"]["forced"].as_u64() > Some(0));
    assert!(compared["compared"]["accuracy"].as_f64() >= compared["vanilla"]["accuracy"].as_f64(), "{compared}");
    // Any pattern, on whatever is asked.
    let digits = compare(&["--regex", "[0-9]{3}", "--decoder", "threshold", "--cache", "dual"]);
    assert_eq!((&digits["prompts"], &digits["compared"]["valid"]), (&16.into(), &1.0.into()), "{digits}");
    let free = compare(&[]);
    assert!(free["compared"]["valid"].is_null() && free["compared"]["forced"].is_null(), "{free}");
    for (args, part) in [
        (&["--prompts", "a.jsonl", "--constrain"][..], "cannot be used with"),
        (&["--tasks", "1", "--constrain", "--regex", "a"], "cannot be used with"),
        (&["--tasks", "1", "--constrain", "--gen-length", "4"], ": the shortest valid answer has "),
    ] {
        let output = llada("compare", args);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
    }
}
