//! `llada tasks generate` and `llada eval tiny`: examples that training reads, figures that are the same twice.

use std::{collections::BTreeSet, fs, path::Path, process::Output};

use serde_json::Value;
use tempfile::tempdir;

use crate::{command, fixture, report, stderr, stdout};

/// `llada tasks generate ARGS`, and what it wrote into `folder`.
fn generate(folder: &Path, args: &str) -> String {
    let out = folder.join("out.jsonl");
    stdout(&command().args(["tasks", "generate"]).args(args.split(' ')).arg("--out").arg(&out).output().unwrap());
    fs::read_to_string(out).unwrap()
}

fn evaluate(args: &str) -> Output {
    command().args(["eval", "tiny", "--model"]).arg(fixture("tiny-llada")).args(args.split(' ')).output().unwrap()
}

#[test]
fn examples_are_chats_that_training_reads() {
    let folder = tempdir().unwrap();
    let train = generate(folder.path(), "--seed 3 --count 24");
    assert_eq!(train, generate(folder.path(), "--seed 3 --count 24"));
    assert_ne!(train, generate(folder.path(), "--seed 4 --count 24"));
    let tasks = |text: &str| -> BTreeSet<String> {
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["task"].to_string()).collect()
    };
    assert_eq!((train.lines().count(), tasks(&train).len()), (24, 8));

    let one = generate(folder.path(), "--count 5 --task sorting --split held-out");
    assert_eq!((one.lines().count(), tasks(&one).len()), (5, 1));
    for args in [
        "tokenizer train --input out.jsonl --format chat --vocab-size 300 --out tokenizer",
        "data prepare --input out.jsonl --format chat --tokenizer tokenizer --out data",
    ] {
        let output = command().current_dir(folder.path()).args(args.split(' ')).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

#[test]
fn unknown_tasks_are_usage_errors() {
    let folder = tempdir().unwrap();
    let args = ["tasks", "generate", "--count", "1", "--task", "chess", "--out", "out.jsonl"];
    let output = command().current_dir(folder.path()).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("unknown task \"chess\"; hint: addition, sorting"), "{}", stderr(&output));
    assert!(!folder.path().join("out.jsonl").exists());
}

#[test]
fn figures_are_those_of_every_task() {
    let args = "--limit 2 --steps 4 --seed 5 --json";
    let (mut first, mut second) = (report(&evaluate(args)), report(&evaluate(args)));
    for report in [&mut first, &mut second] {
        let seconds = report.as_object_mut().unwrap().remove("seconds").unwrap();
        assert!(seconds.as_f64().unwrap() > 0.0);
    }
    assert_eq!(first, second);
    let by_task = first["exact_match"].as_object().unwrap();
    assert!(by_task.len() == 8 && by_task.values().all(|share| share == 0.0), "random weights: {by_task:?}");
    assert_eq!(first["interval"]["sudoku"][0], 0.0);
    assert_eq!(first["mean_exact_match"], 0.0);
    assert_eq!((&first["nfe"], &first["tokens_per_forward"]), (&(8 * 2 * 4).into(), &8.0.into()));
}

#[test]
fn the_sampler_is_the_users() {
    let random = report(&evaluate("--limit 1 --steps 8 --block-length 8 --remasking random --json"));
    assert_eq!(random["nfe"], 8 * 8);
    let table = stdout(&evaluate("--limit 1 --steps 1 --decoder threshold"));
    assert!(table.starts_with("task") && table.contains("word_reversal") && table.contains("95 %"), "{table}");
    let refused = evaluate("--limit 1 --block-length 8 --steps 3");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("\nhint: --steps 4"), "{}", stderr(&refused));
}
