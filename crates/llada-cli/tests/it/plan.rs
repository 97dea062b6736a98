//! `llada plan`: LLaDA-8B's numbers, what is said of them, and what is refused.

use serde_json::Value;

use crate::{command, fixture, report, stderr, stdout};

/// The lines of `llada plan --model 8b ARGS --json`, and everything else of it.
fn plans(args: &[&str]) -> (Vec<Value>, Value) {
    let report = report(&command().args(["plan", "--model", "8b", "--json"]).args(args).output().unwrap());
    (report["plans"].as_array().unwrap().clone(), report)
}

fn gigabytes(plan: &Value) -> f64 {
    plan["total_bytes"].as_f64().unwrap() / 1e9
}

#[test]
fn the_state_of_llada_8b_is_that_computed_by_hand() {
    let (plans, report) = plans(&["--gpus", "8", "--batch", "8"]);
    assert_eq!(report["parameters"], 8_015_581_184_usize);
    assert_eq!((&report["trained_parameters"], &report["length"]), (&report["parameters"], &4096.into()));
    let state = |plan: &Value| {
        let of = |part: &str| plan["memory"][part].as_f64().unwrap();
        ((of("weights") + of("gradient") + of("optimizer")) / 1e9).round()
    };
    assert_eq!(plans.iter().map(state).collect::<Vec<_>>(), [128.0, 128.0, 72.0, 72.0, 47.0, 47.0, 24.0]);
    let kept = plans.iter().map(|plan| (plan["memory"]["activations"].as_f64().unwrap() / 1e8).round());
    // Where weights are divided, blocks are computed twice.
    assert_eq!(kept.collect::<Vec<_>>(), [183.0, 16.0, 183.0, 16.0, 183.0, 16.0, 16.0]);
}

#[test]
fn adapters_take_what_was_computed_by_hand() {
    for (r, base, once, twice) in [
        ("16", "bf16", 36.5, 19.8),
        ("128", "bf16", 41.2, 24.5),
        ("16", "int8", 29.0, 12.3),
        ("16", "nf4-double", 26.1, 9.5),
    ] {
        let (plans, report) = plans(&["--adapter", r, "--base-dtype", base]);
        assert_eq!(report["trained_parameters"], 2_621_440 * r.parse::<usize>().unwrap());
        for (plan, expected) in plans.iter().zip([once, twice]) {
            assert!((gigabytes(plan) - expected).abs() < 0.06, "{r}, {base}: {plan}");
        }
    }
}

#[test]
fn a_table_says_what_it_is_of() {
    let text = stdout(&command().args(["plan", "--model", "8b", "--gpus", "64", "--batch", "1280"]).output().unwrap());
    for part in [
        "8015.6 million parameters, all trained",
        "1280 rows of 4096 tokens: 20 for each of 64 GPUs, 1 at a time, in bf16",
        "80 GB, 989 TFLOP/s of which 40 % are reached, 12.5 GB/s",
        "none       once",
        "weights    twice",
        "Computed, not measured. Divided weights are whole while",
    ] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
}

#[test]
fn a_checkpoint_is_planned_for_by_its_config() {
    let output = command().args(["plan", "--json", "--dtype", "f32", "--model"]).arg(fixture("tiny-llada")).output();
    let report = report(&output.unwrap());
    assert_eq!(report["parameters"], 207_296);
    // One process has all weights, and sends nothing.
    for plan in report["plans"].as_array().unwrap() {
        assert_eq!(plan["memory"]["weights"], 4.0 * 207_296.0);
        assert_eq!((&plan["traffic_bytes"], &plan["waiting_seconds"]), (&0.0.into(), &0.0.into()));
    }
}

#[test]
fn what_makes_no_run_is_refused() {
    for (args, code, part) in [
        (&["--length", "5000"][..], 2, "--length 5000: the model takes 4096 tokens at most"),
        (&["--gpus", "0"], 2, "--gpus"),
        (&["--adapter", "0"], 2, "r: 0 is not an integer between 1 and 65536"),
        (&["--base-dtype", "int8"], 2, "--adapter"),
        (&["--utilisation", "1.5"], 2, "it is above 1"),
        (&["--bandwidth", "nan"], 2, "it is not above 0"),
    ] {
        let output = command().args(["plan", "--model", "8b"]).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
    }
}
