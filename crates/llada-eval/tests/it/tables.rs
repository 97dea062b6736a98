//! The tables under `tests/tables`: what lm-evaluation-harness and TinyZero's rule make of odd records and answers,
//! computed by their own code in Python.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use llada_core::rng::Noise;
use llada_eval::{EvalError, FreeFormQuestion, Question, Record, Shots, Style, TaskKind, read};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::tempdir;

use crate::{generation, task};

fn rows<T: for<'a> Deserialize<'a>>(name: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(name);
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `values` as the records of a file.
fn records(values: &[Value]) -> Vec<Record> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("data.jsonl");
    fs::write(&path, values.iter().map(|value| format!("{value}\n")).collect::<String>()).unwrap();
    read(&path).unwrap()
}

/// A question of `name` about `record`.
fn asked(name: &str, record: &Value) -> FreeFormQuestion {
    generation(task(name).question(&records(std::slice::from_ref(record))[0], Style::Plain).unwrap())
}

fn marks(question: &FreeFormQuestion, written: &str) -> BTreeMap<String, f64> {
    question.judge(written).marks.into_iter().map(|(metric, value)| (metric.to_owned(), value)).collect()
}

/// One failure that shows all rows that differ.
fn assert_none(differences: &str) {
    assert!(differences.is_empty(), "{} rows differ:\n{differences}", differences.lines().count());
}

#[derive(Deserialize)]
struct Asked {
    task: String,
    record: Map<String, Value>,
    shot: Option<Map<String, Value>>,
    style: Option<String>,
    refused: Option<String>,
    prompt: Option<String>,
    options: Option<Vec<(String, String)>>,
    #[serde(default)]
    marks: Vec<(Vec<f64>, BTreeMap<String, f64>)>,
}

/// The question of a row, after its shot.
fn question(row: &Asked) -> Result<Question, EvalError> {
    let task = task(&row.task);
    let style = if row.style.is_some() { Style::Chat } else { Style::Plain };
    let question = task.question(&records(&[row.record.clone().into()])[0], style)?;
    let shots = match &row.shot {
        Some(shot) => Shots::new(task, style, &records(&[shot.clone().into()]), 1)?,
        None => Shots::default(),
    };
    shots.before(question, 0, Noise::new(0))
}

#[test]
fn questions_are_asked_as_the_harness_asks_them() {
    let mut differences = String::new();
    for (number, row) in (1..).zip(rows::<Asked>("questions.jsonl")) {
        let mut differs = |what: &str, found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug| {
            writeln!(differences, "{number} {} {what}: {found:?}, not {expected:?}", row.task).unwrap();
        };
        match (question(&row), &row) {
            (Err(_), Asked { refused: Some(_), .. }) => {}
            (Ok(Question::FreeForm(asked)), Asked { prompt: Some(prompt), .. }) => {
                if asked.prompt != *prompt {
                    differs("prompt", &asked.prompt, prompt);
                }
            }
            (Ok(Question::Choice(asked)), Asked { options: Some(options), marks, .. }) => {
                let found: Vec<_> =
                    asked.options.iter().cloned().map(|option| (option.context, option.continuation)).collect();
                if found != *options {
                    differs("options", &found, options);
                }
                let TaskKind::Choice { metrics, .. } = task(&row.task).kind else { panic!("a choice") };
                for (log_likelihoods, expected) in marks {
                    for (metric, value) in asked.score(metrics, log_likelihoods).unwrap() {
                        // The harness calls the share of probability acc.
                        let expected = expected[if metric == "mc2" { "acc" } else { metric }];
                        if (value - expected).abs() > 1e-9 {
                            differs(metric, &value, &expected);
                        }
                    }
                }
            }
            (found, _) => differs("kind", &found.map_err(|error| error.to_string()), &(&row.refused, &row.prompt)),
        }
    }
    assert_none(&differences);
}

#[derive(Deserialize)]
struct Judged {
    task: String,
    gold: String,
    written: String,
    marks: BTreeMap<String, f64>,
    /// What is right where braces are matched.
    right: Option<f64>,
}

#[test]
fn numbers_are_marked_as_the_harness_marks_them() {
    let mut differences = String::new();
    for row in rows::<Judged>("answers.jsonl").into_iter().filter(|row| row.task == "gsm8k") {
        let found: BTreeMap<_, _> = marks(&asked("gsm8k", &json!({"question": "q", "answer": row.gold})), &row.written);
        let expected: BTreeMap<_, _> = row.marks.iter().map(|(metric, &value)| (metric.clone(), value)).collect();
        if found != expected {
            writeln!(differences, "{:?} {:?}: {found:?}, not {expected:?}", row.gold, row.written).unwrap();
        }
    }
    assert_none(&differences);
}

#[test]
fn formulas_are_marked_as_the_harness_marks_them() {
    let mut differences = String::new();
    for row in rows::<Judged>("answers.jsonl").into_iter().filter(|row| row.task == "math") {
        let record = json!({"problem": "p", "solution": format!("So $\\boxed{{{}}}$.", row.gold)});
        let found = marks(&asked("math", &record), &row.written);
        if found["strict_match"] != row.right.unwrap_or(row.marks["exact_match"]) {
            writeln!(differences, "strict {:?} {:?}: {}", row.gold, row.written, found["strict_match"]).unwrap();
        }
        // Where the harness's strict and its lenient rule agree that an answer is right, no rule here may doubt it.
        if found["flexible_extract"] < row.marks["exact_match"].min(row.marks["math_verify"]) {
            writeln!(differences, "flexible {:?} {:?}: {}", row.gold, row.written, found["flexible_extract"]).unwrap();
        }
    }
    assert_none(&differences);
}

#[derive(Deserialize)]
struct Expression {
    written: String,
    nums: Vec<i64>,
    target: i64,
    exact_match: f64,
}

#[test]
fn expressions_are_worth_what_python_says() {
    let mut differences = String::new();
    for row in rows::<Expression>("countdown.jsonl") {
        let found = marks(&asked("countdown", &json!({"nums": row.nums, "target": row.target})), &row.written);
        if found["exact_match"] != row.exact_match {
            writeln!(differences, "{:?} {:?} {}: {}", row.written, row.nums, row.target, found["exact_match"]).unwrap();
        }
    }
    assert_none(&differences);
}
