//! The `llada` command as a user runs it, on the fixtures with the reference's golden outputs.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod adapter;
mod batch;
mod benchmarks;
mod book;
mod chat;
mod compare;
mod constraint;
mod convert;
mod damaged;
mod decide;
mod families;
mod generate;
mod golden;
mod inspect;
mod kernels;
mod launch;
#[path = "../../../llada-model/tests/it/mutation.rs"]
mod mutation;
mod plan;
mod quantize;
mod reference;
mod refusals;
mod score;
mod serve;
mod sharded;
mod tasks;
mod text;
mod threads;
mod traces;
mod training;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

const FIXTURES: [&str; 2] = ["tiny-llada", "tiny-llada-gqa-bf16"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../llada-model/tests/fixtures").join(name)
}

fn json(name: &str, file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(name).join(file)).unwrap()).unwrap()
}

/// The command, its threads not spinning while they wait: many tests share the processor.
fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llada"));
    command.env("OMP_WAIT_POLICY", "passive");
    command
}

/// `llada SUBCOMMAND --model FIXTURE ARGS`.
fn llada(subcommand: &str, name: &str, args: &[&str]) -> Output {
    command().args([subcommand, "--model"]).arg(fixture(name)).args(args).output().unwrap()
}

/// Standard output of a command that must succeed.
fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The JSON object on standard output.
fn report(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap()
}
