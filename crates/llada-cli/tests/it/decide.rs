//! `llada decide`: probabilities, calibration, and questions that are refused with their line.

use std::{fs, process::Output};

use serde_json::Value;
use tempfile::tempdir;

use crate::{book::root, command, report, stderr, stdout};

/// `llada decide` with llada-tiny about these questions.
fn decide(questions: &str, args: &[&str]) -> Output {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("questions.jsonl"), questions).unwrap();
    fs::write(folder.path().join("text.txt"), "The lamp is red.").unwrap();
    let mut command = command();
    command.args(["decide", "--questions", "questions.jsonl", "--model"]).arg(root().join("models/llada-tiny"));
    command.current_dir(folder.path()).args(args).output().unwrap()
}

const SUM: &str = r#"{"type": "choice", "name": "sum", "instructions": "What is 345 + 78?", "choices": ["413", "423"], "label": "423"}"#;

#[test]
fn what_the_model_knows_is_probable_and_what_differs_in_a_token_exact() {
    let shown = stdout(&decide(SUM, &[]));
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "sum: What is 345 + 78?");
    assert!(lines[1].starts_with("  413  0.0") && lines[1].ends_with("± 0.0000"), "{shown}");
    assert!(lines[2].starts_with("  423  ") && lines[2].ends_with("± 0.0000  right"), "{shown}");
    assert!(shown.contains("calibration of 1 ") && shown.contains("1 questions, 1 forwards"), "{shown}");
}

#[test]
fn labels_give_the_calibration_of_the_questions_that_have_one() {
    let unlabelled = r#"{"type": "predicate", "instructions": "Is it red?"}"#;
    let wrong = SUM.replace(r#""label": "423""#, r#""label": "413""#);
    let found = report(&decide(&format!("{SUM}\n\n{unlabelled}\n{wrong}\n"), &["--json", "--mc-num", "4"]));
    let calibration = &found["calibration"];
    assert_eq!((&calibration["questions"], &calibration["accuracy"]["value"]), (&2.into(), &0.5.into()));
    let p = found["answers"][0]["probabilities"][1]["probability"].as_f64().unwrap();
    let brier = (2.0 * (1.0 - p).powi(2) + 2.0 * p.powi(2)) / 2.0;
    assert!((calibration["brier"]["value"].as_f64().unwrap() - brier).abs() < 1e-9, "{calibration}");
    // Both are in one bin.
    assert!((calibration["ece"]["value"].as_f64().unwrap() - (p - 0.5)).abs() < 1e-9, "{calibration}");
    assert_eq!(report(&decide(unlabelled, &["--json", "--mc-num", "4"])).get("calibration"), None);
}

#[test]
fn a_question_is_about_its_own_text_or_else_that_of_the_command() {
    let of = |questions: &str, args: &[&str]| -> Value {
        report(&decide(questions, &[&["--json", "--mc-num", "4"], args].concat()))["answers"][0].clone()
    };
    let question = r#"{"type": "predicate", "instructions": "Is the lamp red?"}"#;
    let own = question.replace(r#""type""#, r#""input": "The lamp is red.", "type""#);
    let given = of(question, &["--text", "The lamp is red."]);
    assert_eq!(of(question, &["--text-file", "text.txt"]), given);
    assert_eq!(of(&own, &["--text", "Another text."]), given);
    assert_ne!(of(question, &[]), given);
}

/// Options that differ in several tokens are estimated: another seed gives another estimate, the same one the same.
#[test]
fn estimates_depend_on_the_seed_and_have_errors() {
    let question = r#"{"type": "score", "instructions": "How much is it?", "levels": ["next to nothing", "some", "a large amount"]}"#;
    let of = |seed: &str| report(&decide(question, &["--json", "--mc-num", "4", "--seed", seed]))["answers"][0].clone();
    let first = of("1");
    assert!(first["standard_error"].as_f64().unwrap() > 0.0, "{first}");
    assert_eq!(of("1"), first);
    assert_ne!(of("2"), first);
    let shown = stdout(&decide(question, &["--mc-num", "1"]));
    assert!(shown.contains("± unknown") && shown.contains("\n  score "), "{shown}");
}

#[test]
fn bad_questions_are_refused_with_their_line() {
    for (line, part) in [
        ("{", "questions.jsonl:2: not a JSON object"),
        (
            r#"{"type": "choice", "instructions": "Who?", "choices": ["a"]}"#,
            "questions.jsonl:2: a question has at least 2",
        ),
        (r#"{"type": "choice", "instructions": "Who?", "choices": ["a", "a"]}"#, "questions.jsonl:2: the option \"a\""),
        (r#"{"type": "predicate", "instructions": "Is it?", "label": 1}"#, "questions.jsonl:2: label 1 is neither"),
    ] {
        let refused = decide(&format!("{SUM}\n{line}\n"), &[]);
        assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
        assert!(stderr(&refused).starts_with(&format!("error: {part}")), "{}", stderr(&refused));
        assert!(refused.stdout.is_empty());
    }
    let long = decide(SUM, &["--text", &"a lamp ".repeat(300)]);
    assert_eq!(long.status.code(), Some(2));
    assert!(stderr(&long).starts_with("error: questions.jsonl:1: "), "{}", stderr(&long));
    let empty = decide("\n", &[]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(stderr(&empty).contains("questions.jsonl has no questions\nhint: "), "{}", stderr(&empty));
    let missing = decide(SUM, &["--text-file", "nothing.txt"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(stderr(&missing).contains("cannot read nothing.txt"), "{}", stderr(&missing));
}
