//! `llada batch`: input order, determinism, and nothing lost to interrupts, torn lines or full disks.

use std::{fs, path::PathBuf, process::Output};

use serde_json::{Value, json as object};
use tempfile::{TempDir, tempdir};

use crate::{command, fixture, golden::batch, stderr};

/// A folder with a requests file.
struct Job {
    folder: TempDir,
}

impl Job {
    fn new(requests: &str) -> Self {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("requests.jsonl"), requests).unwrap();
        Self { folder }
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("results.jsonl")
    }

    fn run(&self) -> Output {
        self.run_to(&self.output())
    }

    fn run_to(&self, output: &std::path::Path) -> Output {
        let mut command = command();
        command.args(["batch", "--model"]).arg(fixture("tiny-llada")).arg("--output").arg(output);
        command.arg("--input").arg(self.folder.path().join("requests.jsonl")).output().unwrap()
    }

    fn results(&self) -> String {
        fs::read_to_string(self.output()).unwrap()
    }
}

fn requests(count: usize) -> String {
    let request =
        |id| object!({"id": id, "prompt_ids": [1 + id, 2, 3], "gen_length": 8, "temperature": 1.0, "seed": id});
    (0..count).map(|id| format!("{}\n", request(id))).collect()
}

#[test]
fn finished_lines_are_kept_and_torn_ones_redone() {
    let job = Job::new(&requests(6));
    assert!(job.run().status.success());
    let whole = job.results();
    let keep: Vec<&str> = whole.split_inclusive('\n').collect();
    // Killed in the middle of the fourth line.
    let torn = [&keep[..3].concat(), &keep[3][..keep[3].len() / 2]].concat();
    fs::write(job.output(), torn).unwrap();
    let resumed = job.run();
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    let again = job.results();
    assert!(again.starts_with(&keep[..3].concat()), "finished lines were redone");
    let ids = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["output_ids"].clone()).collect()
    };
    assert_eq!(ids(&again), ids(&whole));
    // A finished batch is left as it is.
    assert!(job.run().status.success());
    assert_eq!(job.results(), again);
}

#[test]
fn results_of_other_requests_are_not_mixed_in() {
    let job = Job::new(&requests(3));
    assert!(job.run().status.success());
    let before = job.results();
    fs::write(job.folder.path().join("requests.jsonl"), requests(3).replace("\"gen_length\":8", "\"gen_length\":16"))
        .unwrap();
    let refused = job.run();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("results.jsonl:1 is not the answer to request 1"), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("hint: "));
    assert_eq!(job.results(), before);
}

#[test]
fn a_row_alone_and_in_a_ragged_batch_of_eight_are_the_same() {
    let request = |id: usize| {
        let prompt: Vec<usize> = (0..3 * id).map(|i| (7 * i + id) % 480).collect();
        let (steps, remasking) = [(4, "low_confidence"), (8, "random"), (16, "entropy")][id % 3];
        let (decoder, cache) = [("schedule", "dual"), ("threshold", "prefix"), ("factor", "dllm")][id / 3];
        let threshold = if decoder == "threshold" { object!(0.2) } else { Value::Null };
        object!({"id": id, "prompt_ids": prompt, "gen_length": 16, "steps": steps, "temperature": 0.8,
                 "decoder": decoder, "cache": cache, "block_length": 8, "threshold": threshold,
                 "cfg_scale": (id % 2) as f64, "remasking": remasking, "seed": 7})
    };
    let requests: Vec<Value> = (0..8).map(request).collect();
    for name in crate::FIXTURES {
        let tokens = |args: &[&str]| -> Vec<Value> {
            batch(name, &requests, args).iter().map(|result| result["output_ids"].clone()).collect()
        };
        let alone = tokens(&["--batch-size", "1", "--threads", "1"]);
        assert_eq!(tokens(&["--batch-size", "8", "--threads", "1"]), alone);
        assert_eq!(tokens(&["--batch-size", "3", "--threads", "2"]), alone);
    }
}

/// Shadows and growing canvases, with every cache and with guidance: alone as in a batch. WINO that takes nothing back
/// is the threshold decoder, and WINO that is never sure enough the official sampler.
#[test]
fn drafts_and_growing_answers_are_the_same_in_a_batch() {
    let request = |id: usize, options: Value| {
        let cache = ["none", "prefix", "dual", "vicinity", "dllm"][id % 5];
        // Without a prompt all positions are alike, and rounding decides.
        let prompt: Vec<usize> = (0..=id).map(|i| (7 * i + id) % 480).collect();
        let mut request = object!({"id": id, "prompt_ids": prompt, "gen_length": 12, "block_length": 4, "cache": cache,
                                   "cfg_scale": (id / 4) as f64});
        request.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        if cache != "dllm" {
            request.as_object_mut().unwrap().remove("transfer_ratio");
        }
        request
    };
    let run = |name: &str, options: Value, size: &str| -> Vec<Value> {
        let requests: Vec<Value> = (0..8).map(|id| request(id, options.clone())).collect();
        let results = batch(name, &requests, &["--batch-size", size]);
        results.iter().map(|result| object!([result["output_ids"], result["nfe"]])).collect()
    };
    for name in crate::FIXTURES {
        for options in [
            object!({"decoder": "wino", "threshold": 0.05, "threshold_back": 0.05}),
            object!({"length": "append"}),
            object!({"length": "daedal", "initial_gen_length": 2, "decoder": "threshold", "threshold": 0.2}),
        ] {
            assert_eq!(run(name, options.clone(), "8"), run(name, options.clone(), "1"), "{name} {options}");
        }
        // Beside shadows nothing is chosen: all of the answer moves.
        let whole = |mut options: Value| {
            options["transfer_ratio"] = 1.0.into();
            run(name, options, "8")
        };
        let bold = object!({"decoder": "wino", "threshold": 0.05, "threshold_back": 0.0});
        assert_eq!(whole(bold), whole(object!({"decoder": "threshold", "threshold": 0.05})), "{name}");
        let never = object!({"decoder": "wino", "threshold": 1.0});
        assert_eq!(whole(never), whole(object!({})), "{name}");
    }
}

#[test]
fn every_bad_line_is_refused_before_the_first_is_answered() {
    let good = r#"{"id": 0, "prompt_ids": [1], "gen_length": 4}"#;
    for (bad, message) in [
        ("[1]", "not a JSON object"),
        ("{\"id\": 1", "not a JSON object"),
        (r#"{"prompt_ids": [1]}"#, "no id"),
        (r#"{"id": null, "prompt_ids": [1]}"#, "no id"),
        (r#"{"id": [1], "prompt_ids": [1]}"#, "id [1] is neither a text nor a number"),
        (r#"{"id": 0, "prompt_ids": [1]}"#, "id 0 was used before"),
        (r#"{"id": 1}"#, "exactly one of prompt, prompt_ids and messages"),
        (r#"{"id": 1, "prompt": "a", "prompt_ids": [1]}"#, "exactly one of"),
        (r#"{"id": 1, "prompt_ids": [-1]}"#, "prompt_ids: "),
        (r#"{"id": 1, "prompt_ids": [512]}"#, "id 512 at position 0"),
        (r#"{"id": 1, "prompt_ids": [1], "stepps": 4}"#, "unknown field `stepps`"),
        (r#"{"id": 1, "prompt_ids": [1], "steps": "many"}"#, "invalid type"),
        (r#"{"id": 1, "prompt_ids": [1], "algorithm": "magic"}"#, "unknown algorithm \"magic\""),
        (
            r#"{"id": 1, "prompt_ids": [1], "gen_length": 64, "block_length": 24, "reference_compat": true}"#,
            r#"hint: "block_length": 16 or "block_length": 32"#,
        ),
        (
            r#"{"id": 1, "prompt_ids": [1], "gen_length": 300}"#,
            "exceed max_sequence_length 256\nhint: \"gen_length\": 255 is the most that fits",
        ),
        (r#"{"id": 1, "prompt_ids": [1], "gen_length": 0}"#, "\nhint: \"gen_length\": 128"),
        (
            r#"{"id": 1, "prompt_ids": [1], "decoder": "threshold", "gamma": 0.1}"#,
            "decoder threshold has no option gamma\nhint: \"decoder\": \"entropy_bounded\"",
        ),
        (r#"{"id": 1, "prompt_ids": [1], "refresh_interval": 4}"#, "cache none has no option refresh_interval"),
        (r#"{"id": 1, "prompt_ids": [1], "algorithm": "fast", "gamma": 0.1}"#, "decoder schedule has no option gamma"),
        (r#"{"id": 1, "messages": [{"role": "user"}]}"#, "content"),
    ] {
        let job = Job::new(&format!("{good}\n\n{bad}\n"));
        let refused = job.run();
        assert_eq!(refused.status.code(), Some(2), "{bad}: {}", stderr(&refused));
        assert!(stderr(&refused).contains(message), "{bad}: {}", stderr(&refused));
        assert!(!job.output().exists(), "{bad} left an output file");
    }
}

/// An algorithm takes every argument of the sampler that it names, and nobody is refused an option that has no effect.
#[test]
fn options_without_effect_are_taken() {
    let requests = [
        object!({"id": 0, "prompt_ids": [1], "gen_length": 4, "algorithm": "fast", "threshold": 0.9, "factor": 1.0}),
        object!({"id": 1, "prompt_ids": [1], "gen_length": 4, "algorithm": "fast_dual_cache", "factor": 1.0}),
        object!({"id": 2, "prompt_ids": [1], "gen_length": 4, "decoder": "threshold", "steps": 2, "remasking": "random",
                 "temperature": 0, "cfg_scale": 0, "threshold": null, "gamma": null}),
    ];
    assert_eq!(batch("tiny-llada", &requests, &[]).len(), 3);
}

#[test]
fn non_utf8_requests_are_refused() {
    let job = Job::new("");
    fs::write(job.folder.path().join("requests.jsonl"), b"{\"id\": 1, \"prompt\": \"\xff\"}\n").unwrap();
    let refused = job.run();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("not UTF-8"), "{}", stderr(&refused));
}

/// A file system that takes a kilobyte and no more: the lines that fit are kept whole, and the rest is done later.
#[cfg(unix)]
#[test]
fn a_full_disk_keeps_the_finished_lines() {
    let job = Job::new(&requests(12));
    let script = r#"ulimit -f 1; trap "" XFSZ; exec "$0" batch --model "$1" --input "$2" --output "$3""#;
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_llada")]).arg(fixture("tiny-llada"));
    let failed = shell.arg(job.folder.path().join("requests.jsonl")).arg(job.output()).output().unwrap();
    assert_eq!(failed.status.code(), Some(3), "{}", stderr(&failed));
    assert!(stderr(&failed).contains("results.jsonl\nhint: the finished lines are kept"), "{}", stderr(&failed));
    let kept = job.results();
    assert!(kept.ends_with('\n') && (1..12).contains(&kept.lines().count()), "{kept}");
    assert!(job.run().status.success());
    assert!(job.results().starts_with(&kept) && job.results().lines().count() == 12);
}

#[cfg(unix)]
#[test]
fn an_output_that_cannot_be_resumed_is_refused() {
    let refused = Job::new(&requests(1)).run_to("/dev/null".as_ref());
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("/dev/null is not a regular file"), "{}", stderr(&refused));
}

/// Ctrl-C in the middle of a long batch: exit code 130, whole lines only, and the same command finishes the rest.
#[cfg(unix)]
#[test]
fn an_interrupt_loses_nothing() {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    let job = Job::new(&requests(400));
    let mut command = command();
    command.args(["batch", "--model"]).arg(fixture("tiny-llada")).arg("--output").arg(job.output());
    let mut child = command.arg("--input").arg(job.folder.path().join("requests.jsonl")).spawn().unwrap();
    while fs::metadata(job.output()).map_or(0, |file| file.len()) == 0 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let before = job.results();
    assert!(before.ends_with('\n') && before.lines().count() < 400);
    assert!(job.run().status.success());
    assert!(job.results().starts_with(&before));
    assert_eq!(job.results().lines().count(), 400);
}
