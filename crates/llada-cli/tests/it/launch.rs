//! `llada launch`: processes that are killed, stopped, hung and started again, and runs that end as if nothing had
//! happened.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
};

use crate::{
    command, stderr, stdout,
    training::{signal, weights, workplace},
};

/// `llada launch --nproc 2 OPTIONS -- pretrain --config run.toml --out OUT KEYS`, in the background.
fn launched(folder: &Path, options: &[&str], out: &str, keys: &[&str]) -> Child {
    let mut command = command();
    command.current_dir(folder).args(["launch", "--nproc", "2"]).args(options);
    command.args(["--", "pretrain", "--config", "run.toml", "--out", out]).args(keys);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a run has written metrics of step `step`.
pub(crate) fn reached(folder: &Path, out: &str, step: u64) {
    let metrics = folder.join(out).join("metrics.jsonl");
    let has_step = |text: String| text.lines().any(|line| line.starts_with(&format!("{{\"step\":{step},")));
    while !fs::read_to_string(&metrics).is_ok_and(has_step) {
        std::thread::yield_now();
    }
}

/// The process of this rank that `launcher` has started, once there is one.
fn rank(launcher: &Child, rank: u8) -> String {
    let is_rank = |process: &Path| {
        let status = fs::read_to_string(process.join("status")).ok()?;
        let environment = fs::read_to_string(process.join("environ")).ok()?;
        let is_child = status.lines().any(|line| line == format!("PPid:\t{}", launcher.id()));
        Some(is_child && environment.split('\0').any(|variable| variable == format!("RANK={rank}")))
    };
    loop {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            if is_rank(&entry.path()) == Some(true) {
                return entry.file_name().into_string().unwrap();
            }
        }
    }
}

fn send(signal: &str, process: &str) {
    assert!(std::process::Command::new("kill").args([signal, process]).status().unwrap().success());
}

#[test]
fn a_launched_run_that_is_stopped_and_killed_ends_as_if_it_had_not_been() {
    let folder = workplace();
    let at = folder.path();
    let output = launched(at, &[], "whole", &[]).wait_with_output().unwrap();
    stdout(&output);
    let told = stderr(&output);
    assert!(told.trim_end().ends_with("model in whole/model") && !told.contains("rank"), "{told}");

    let stopped = launched(at, &[], "parts", &[]);
    reached(at, "parts", 7);
    signal(&stopped, "-TERM");
    let output = stopped.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(told.ends_with("hint: the same command goes on from there\ninterrupted\n"), "{told}");
    assert!(!told.contains("[rank 1]"), "{told}");

    let killed = launched(at, &["--max-restarts", "2"], "parts", &[]);
    reached(at, "parts", 22);
    send("-KILL", &rank(&killed, 1));
    while !at.join("parts/checkpoints/step-00000040").exists() {
        std::thread::yield_now();
    }
    send("-KILL", &rank(&killed, 0));
    let output = killed.wait_with_output().unwrap();
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    for line in [
        "rank 1 was killed by signal 9: all start again (1 of 2)",
        "rank 0 of 2 has lost another process in all_",
        "hint: the last checkpoint is whole: start all processes again, and they go on from it",
        "rank 0 was killed by signal 9: all start again (2 of 2)",
        "[rank 1] error: rank 1 of 2 has lost another process in all_",
    ] {
        assert!(told.contains(line), "{line}\nis not in\n{told}");
    }
    assert!(weights(at, "whole") == weights(at, "parts"));
}

#[test]
fn a_run_with_divided_weights_that_is_killed_ends_as_one_that_divides_nothing() {
    let folder = workplace();
    let at = folder.path();
    stdout(&launched(at, &[], "whole", &[]).wait_with_output().unwrap());
    let killed = launched(at, &["--max-restarts", "2"], "parts", &["--shard", "weights"]);
    for (number, step) in [(1, 12), (0, 33)] {
        reached(at, "parts", step);
        send("-KILL", &rank(&killed, number));
    }
    let output = killed.wait_with_output().unwrap();
    let told = stderr(&output);
    assert!(
        output.status.success() && told.contains("rank 0 was killed by signal 9: all start again (2 of 2)"),
        "{told}"
    );
    assert!(at.join("parts/checkpoints/step-00000060/shard-00002-model-00001-of-00001.safetensors").exists());
    assert!(weights(at, "whole") == weights(at, "parts"));
}

/// Whether a process has ended. One whose parent is gone may stay in the table of processes.
fn has_ended(process: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    status.map_or(true, |status| status.lines().any(|line| line.starts_with("State:\tZ")))
}

#[test]
fn no_rank_outlives_a_launcher_that_is_killed() {
    let folder = workplace();
    let at = folder.path();
    let mut launcher = launched(at, &[], "out", &["--steps", "4000", "--checkpoint-every", "4000"]);
    reached(at, "out", 3);
    let ranks = [0, 1].map(|number| rank(&launcher, number));
    signal(&launcher, "-KILL");
    launcher.wait().unwrap();
    while !ranks.iter().all(|rank| has_ended(rank)) {
        std::thread::yield_now();
    }
    assert!(!at.join("out/model").exists(), "the ranks went on to the end");
}

#[test]
fn a_rank_that_hangs_is_an_error_and_the_last_checkpoint_stays() {
    let folder = workplace();
    let at = folder.path();
    let mut hung = launched(at, &[], "out", &["--collective-timeout", "4"]);
    reached(at, "out", 12);
    let second = rank(&hung, 1);
    send("-STOP", &second);
    let mut told = String::new();
    for line in BufReader::new(hung.stderr.take().unwrap()).lines() {
        let line = line.unwrap() + "\n";
        if line.contains("has waited 4 s for another process") {
            send("-CONT", &second);
        }
        told += &line;
    }
    assert!(told.contains("error: rank 0 of 2 has waited 4 s for another process in all_"), "{told}");
    assert!(told.contains("has ended with exit code 1"), "{told}");
    assert_eq!(hung.wait().unwrap().code(), Some(1), "{told}");
    let output = launched(at, &[], "out", &[]).wait_with_output().unwrap();
    assert!(stderr(&output).contains("going on after step 1"), "{}", stderr(&output));
    stdout(&output);
}

#[test]
fn what_cannot_work_is_refused_and_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &str| {
        let output = command().current_dir(folder.path()).args(arguments.split(' ')).output().unwrap();
        (output.status.code(), stderr(&output))
    };
    let (code, told) = refused("launch --nproc 2 -- generate --prompt x");
    assert_eq!(
        (code, told.as_str()),
        (Some(2), "error: generate does not train\nhint: one of pretrain, sft, prefer, rl, distill\n")
    );
    let (code, told) = refused("launch --nproc 2 --max-restarts 5 -- pretrain --out out --steps 0");
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("error: steps is 0") && !told.contains("start again"), "{told}");
    // A device that is not there, before anybody is waited for.
    let (code, told) = refused("launch --nproc 2 -- pretrain --data none --out out --steps 1 --device cuda:99");
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("cuda:99") || told.contains("cuda:100"), "{told}");
}

#[test]
fn variables_of_a_launcher_that_contradict_themselves_are_named() {
    for (name, value, message) in [
        (
            "WORLD_SIZE",
            "2",
            "error: environment variable RANK is not set\nhint: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT",
        ),
        ("RANK", "x", "error: environment variable WORLD_SIZE is not set\nhint: "),
    ] {
        let output = command().env(name, value).args(["pretrain", "--out", "out", "--steps", "1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(stderr(&output).starts_with(message), "{}", stderr(&output));
    }
}
