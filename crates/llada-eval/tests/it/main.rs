//! Prompts, targets and marks of every task on small fixtures; files that are not what they should be.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod choices;
mod columns;
mod formats;
mod fuzz;
mod generations;
mod hostile;
#[path = "../../../llada-model/tests/it/mutation.rs"]
mod mutation;
mod parquet;
mod shots;
mod tables;

use std::path::{Path, PathBuf};

use llada_eval::{Benchmark, Choice, EvalError, FreeFormQuestion, Question, Record, Style, read};

/// The message of an error, with its hint if it has one.
fn complaint(error: &EvalError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; hint: {hint}"),
        None => error.to_string(),
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn records(name: &str) -> Vec<Record> {
    read(&fixture(name)).unwrap()
}

fn task(name: &str) -> &'static Benchmark {
    Benchmark::by_name(name).unwrap()
}

fn choice(question: Question) -> Choice {
    match question {
        Question::Choice(choice) => choice,
        Question::FreeForm(_) => panic!("a choice was asked for"),
    }
}

fn generation(question: Question) -> FreeFormQuestion {
    match question {
        Question::FreeForm(generation) => generation,
        Question::Choice(_) => panic!("a generation was asked for"),
    }
}

/// The choices of a fixture, without shots.
fn choices(name: &str, file: &str) -> Vec<Choice> {
    let ask = |record: &Record| choice(task(name).question(record, Style::Plain).unwrap().after(&[]));
    records(file).iter().map(ask).collect()
}

/// The generations of a fixture, without shots.
fn generations(name: &str, file: &str, style: Style) -> Vec<FreeFormQuestion> {
    records(file).iter().map(|record| generation(task(name).question(record, style).unwrap())).collect()
}
