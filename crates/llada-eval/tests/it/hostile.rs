//! Data that are not what they should be: an error that names file, row and column.

use std::fs;

use llada_eval::{EvalError, Style, read};
use tempfile::tempdir;

use crate::{complaint, task};

/// The error of reading `text` as records and asking them as `name`.
fn error(name: &str, text: &str) -> String {
    let folder = tempdir().unwrap();
    let path = folder.path().join("data.jsonl");
    fs::write(&path, text).unwrap();
    let ask = || -> Result<(), EvalError> {
        read(&path)?.iter().try_for_each(|record| task(name).question(record, Style::Plain).map(drop))
    };
    complaint(&ask().unwrap_err())
}

#[test]
fn every_complaint_names_its_place() {
    let sentence = r#""option1": "a", "option2": "b""#;
    for (name, text, parts) in [
        ("gsm8k", "", &["data.jsonl holds no records"][..]),
        ("gsm8k", "\n \n", &["data.jsonl holds no records"]),
        ("gsm8k", "[]", &["data.jsonl holds no records"]),
        ("gsm8k", "question,answer\n1,2", &["data.jsonl:1: not a JSON object"]),
        ("gsm8k", "{\"question\": \"\", \"answer\": \"\"}\n\n{\"que", &["data.jsonl:3: not a JSON object"]),
        ("gsm8k", "[1]", &["data.jsonl:1: not a JSON object"]),
        ("gsm8k", "{\"question\": 1}\n{\"question\"\n: 2}", &["data.jsonl:2: not a JSON object"]),
        ("gsm8k", "\u{0}\u{1}", &["data.jsonl:1: not a JSON object"]),
        (
            "gsm8k",
            r#"{"question": "x"}"#,
            &["row 1: no column answer, but question", "hint: the description of a task names its columns"],
        ),
        ("gsm8k", r#"{"question": null, "answer": "6"}"#, &["row 1: no column question, but answer"]),
        ("gsm8k", r#"{"question": null, "answer": null}"#, &["row 1: no column answer, but nothing"]),
        ("gsm8k", r#"{"answer": "5", "answer": "6"}"#, &["data.jsonl:1: not a JSON object"]),
        ("gsm8k", r#"{"question": 5, "answer": "6"}"#, &["row 1, column question: 5 is not a text"]),
        ("arc_easy", r#"{"question": "", "choices": {"text": ["a"]}}"#, &["no column choices.label"]),
        (
            "arc_easy",
            r#"{"choices": {"text": ["a"], "label": []}}"#,
            &["column choices.label: [] is not a list of texts"],
        ),
        (
            "arc_easy",
            r#"{"choices": {"text": ["a"], "label": ["A", "B"]}}"#,
            &["choices.label", "each of the 1 options"],
        ),
        (
            "arc_easy",
            r#"{"question": "", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "E"}"#,
            &["row 1, column answerKey: \"E\" is not one of A"],
        ),
        (
            "hellaswag",
            r#"{"activity_label": "", "ctx_a": "", "ctx_b": "", "endings": ["a"], "label": ""}"#,
            &["label: \"\" is not an integer"],
        ),
        (
            "piqa",
            r#"{"goal": "", "sol1": "", "sol2": "", "label": 2}"#,
            &["label: 2 is not an index of one of the 2 options"],
        ),
        ("piqa", r#"{"goal": "", "sol1": "", "sol2": "", "label": -1}"#, &["label: -1 is not an index"]),
        (
            "mmlu",
            r#"{"question": "", "subject": "", "choices": ["a"], "answer": 0}"#,
            &["choices: [\"a\"] is not a list of four texts"],
        ),
        (
            "winogrande",
            &format!(r#"{{"sentence": "no gap", {sentence}, "answer": "1"}}"#),
            &["is not a sentence with a gap _"],
        ),
        (
            "winogrande",
            &format!(r#"{{"sentence": "a _", {sentence}, "answer": ""}}"#),
            &["answer: \"\" is not \"1\" or \"2\""],
        ),
        (
            "truthfulqa_mc2",
            r#"{"question": "", "mc2_targets": {"choices": ["a", "b"], "labels": [0, 0]}}"#,
            &["mc2_targets.labels: [0,0] is not a label for each of the 2 choices, 1 for what is true"],
        ),
        ("math", r#"{"problem": "", "solution": "5"}"#, &[r"column solution", r"in \boxed{}"]),
        ("countdown", r#"{"nums": [1, "b"], "target": 3}"#, &["nums: [1,\"b\"] is not a list of integers"]),
        ("sudoku", r#"{"Puzzle": "5", "Solution": ""}"#, &["Puzzle: \"5\" is not 16 digits"]),
        (
            "sudoku",
            r#"{"Puzzle": "0000000000000000", "Solution": "1111111111111111"}"#,
            &["Solution: \"1111111111111111\" is not a solution of the puzzle"],
        ),
        ("humaneval", r#"{"prompt": "", "canonical_solution": ""}"#, &["no column task_id"]),
    ] {
        let message = error(name, text);
        assert!(parts.iter().all(|part| message.contains(part)), "{name}: {message:?} lacks one of {parts:?}");
    }
}

#[test]
fn long_values_are_shortened() {
    let message = error("gsm8k", &format!(r#"{{"question": {:?}, "answer": []}}"#, "x".repeat(5000)));
    assert!(message.contains("answer: [] is not"), "{message}");
    let message = error("sudoku", &format!(r#"{{"Puzzle": {:?}}}"#, "é".repeat(5000)));
    assert!(message.chars().count() < 250 && message.contains("…"), "{message}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = read("nowhere.jsonl".as_ref()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read nowhere.jsonl");
}
