//! `llada compare`: a sampler against itself, and a cache that moves predictions.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::tempdir;

use crate::{book::root, command, fixture, stderr, stdout};

fn compare(args: &str) -> Value {
    compare_with(&fixture("tiny-llada"), &format!("--gen-length 8 {args}"))
}

fn compare_with(model: &Path, args: &str) -> Value {
    let mut command = command();
    command.args(["compare", "--json", "--model"]).arg(model).args(args.split(' '));
    serde_json::from_str(&stdout(&command.output().unwrap())).unwrap()
}

#[test]
fn a_sampler_agrees_with_itself() {
    let same = compare("--tasks 1");
    assert_eq!((&same["token_agreement"], &same["mean_kl"]), (&1.0.into(), &0.0.into()));
    assert_eq!(
        (&same["prompts"], &same["vanilla"]["nfe"], &same["compared"]["nfe"]),
        (&8.into(), &64.into(), &64.into())
    );
    assert!(same["vanilla"]["interval"].is_array());
}

/// What a window is compared with sees all of the suffix.
#[test]
fn a_window_moves_predictions() {
    let windowed = compare("--tasks 1 --block-length 4 --suffix-window 0 --suffix-trailing 0");
    assert!(windowed["mean_kl"].as_f64().unwrap() > 0.0, "{windowed}");
}

/// What drafts are compared with is the same decoder and cache without them. A trained model needs half of the forwards.
#[test]
fn drafts_agree_with_the_sampler_without() {
    // By its entropy a model without training drafts too, though it is sure of nothing.
    let untrained = compare("--tasks 1 --cache dual --remasking entropy --draft-length 4");
    assert_eq!((&untrained["token_agreement"], &untrained["same_answers"]), (&1.0.into(), &8.into()));
    assert!(untrained["compared"]["states"].as_u64() > untrained["compared"]["nfe"].as_u64(), "{untrained}");
    let tiny = root().join("models/llada-tiny");
    for cache in ["dual", "prefix", "none"] {
        let args = format!("--tasks 1 --gen-length 32 --cache {cache} --draft-length 8");
        let drafted = compare_with(&tiny, &args);
        assert_eq!((&drafted["token_agreement"], &drafted["same_answers"]), (&1.0.into(), &8.into()), "{cache}");
        let count = |side: &str, of: &str| drafted[side][of].as_u64().unwrap();
        assert_eq!([count("vanilla", "nfe"), count("vanilla", "states")], [256, 256]);
        let (nfe, states) = (count("compared", "nfe"), count("compared", "states"));
        assert!(nfe <= 128 && 256 <= states, "{cache}: {nfe} forwards, {states} states");
    }
}

/// Without an answer the holes of the prompts are what agrees or not.
#[test]
fn holes_are_compared() {
    let folder = tempdir().unwrap();
    let prompts = folder.path().join("holes.jsonl");
    let prompt = format!("A lamp{} of it.", "<|mdm_mask|>".repeat(12));
    fs::write(&prompts, serde_json::json!({ "prompt": prompt }).to_string()).unwrap();
    let agreement = |args: &[&str]| {
        let mut command = command();
        command.args(["compare", "--json", "--gen-length", "0", "--model"]).arg(fixture("tiny-llada"));
        let output = command.arg("--prompts").arg(&prompts).args(args).output().unwrap();
        serde_json::from_str::<Value>(&stdout(&output)).unwrap()["token_agreement"].as_f64().unwrap()
    };
    assert_eq!(agreement(&[]), 1.0);
    let bold = agreement(&["--decoder", "threshold", "--threshold", "0"]);
    assert!((0.0..1.0).contains(&bold), "{bold}");
}

#[test]
fn a_cache_moves_predictions() {
    let folder = tempdir().unwrap();
    let prompts = folder.path().join("prompts.jsonl");
    let lines = r#"{"prompt": "Once upon a time"}
{"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "is not read"}]}"#;
    fs::write(&prompts, lines).unwrap();
    let picture = folder.path().join("agreement.svg");
    let args = format!("--prompts {} --picture {} --cache dual --block-length 4", prompts.display(), picture.display());
    let dual = compare(&args);
    assert!(dual["mean_kl"].as_f64().unwrap() > 0.0, "{dual}");
    assert!(dual["compared"]["accuracy"].is_null(), "{dual}");
    assert!(fs::read_to_string(picture).unwrap().contains("of tokens agree"));
    let refreshed = compare(&format!("{args} --refresh-interval 1"));
    assert_eq!((&refreshed["token_agreement"], &refreshed["mean_kl"]), (&1.0.into(), &0.0.into()));
}

/// Whatever can be known of a job is said before its first forward, and so is what of a file is not read.
#[test]
fn impossible_jobs_are_refused() {
    let folder = tempdir().unwrap();
    let long = "x".repeat(2000);
    for (prompts, args, parts) in [
        ("{}".to_owned(), "--gen-length 8", &["prompts.jsonl:1: a line has exactly one of prompt and messages"][..]),
        (
            format!("{{\"prompt\": \"a\"}}\n\n{{\"prompt\": {long:?}}}"),
            "--gen-length 8",
            &["prompts.jsonl:3: ", "max_sequence_length 256\nhint: shorten the prompt"],
        ),
        ("{\"prompt\": \"a\"}".to_owned(), "--gen-length 256", &["prompts.jsonl:1: ", "\nhint: --gen-length "]),
        ("{\"prompt\": \"a\"}".to_owned(), "--gen-length 8 --picture nowhere/a.svg", &["cannot write nowhere/a.svg"]),
    ] {
        fs::write(folder.path().join("prompts.jsonl"), prompts).unwrap();
        let mut command = command();
        command.args(["compare", "--prompts", "prompts.jsonl", "--model"]).arg(fixture("tiny-llada"));
        let output = command.args(args.split(' ')).current_dir(folder.path()).output().unwrap();
        let message = stderr(&output);
        assert!(!output.status.success() && parts.iter().all(|part| message.contains(part)), "{args}: {message}");
    }
    let line = "{\"id\": 1, \"prompt\": \"a\", \"gen_length\": 4}";
    fs::write(folder.path().join("prompts.jsonl"), line).unwrap();
    let mut command = command();
    command.args(["compare", "--prompts", "prompts.jsonl", "--gen-length", "4", "--model"]).arg(fixture("tiny-llada"));
    let output = command.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success() && stderr(&output).contains("not read: gen_length, id"), "{}", stderr(&output));
}
