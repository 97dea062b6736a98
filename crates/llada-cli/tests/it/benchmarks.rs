//! `llada eval TASK`: plumbing, on a model of random weights: prompts in, lines and figures out, resumed and refused.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::Value;
use tempfile::tempdir;

use crate::{command, fixture, report, stderr, stdout};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../llada-eval/tests/fixtures").join(name)
}

/// `llada eval TASK --model FIXTURE --data FILE ARGS`, in `folder`.
fn evaluate(folder: &Path, task: &str, file: &str, args: &str) -> Output {
    let mut command = command();
    command.args(["eval", task, "--model"]).arg(fixture("tiny-llada")).arg("--data").arg(data(file));
    command.args(args.split_whitespace()).current_dir(folder).output().unwrap()
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The report but for its time.
fn timeless(mut report: Value) -> Value {
    assert!(report["seconds"].is_number());
    report.as_object_mut().unwrap().remove("seconds");
    report
}

#[test]
fn choices_are_scored_and_resumed() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("samples.jsonl");
    let args = "--settings-of base --mc-num 32 --out samples.jsonl --json";
    let whole = timeless(report(&evaluate(folder.path(), "arc_challenge", "arc.jsonl", args)));
    assert_eq!(
        (&whole["task"], &whole["settings_of"], &whole["questions"]),
        (&"arc_challenge".into(), &"base".into(), &3.into())
    );
    assert_eq!(whole["published"], serde_json::json!({"acc_norm": 0.459}));
    assert_eq!((&whole["settings"]["mc_num"], &whole["nfe"]), (&32.into(), &(3 * 2).into()));
    let text = fs::read_to_string(&out).unwrap();
    let samples = lines(&out);
    assert_eq!(samples[0]["options"][1]["continuation"], " a snowball");
    assert_eq!(samples[0]["options"][1]["right"], true);
    // A line's marks follow from its likelihoods, and the figures from the lines.
    let mut right = 0.0;
    for sample in &samples {
        let options = sample["options"].as_array().unwrap();
        let sum = |option: &Value| option["log_likelihood"].as_f64().unwrap();
        let best = options.iter().max_by(|a, b| sum(a).total_cmp(&sum(b))).unwrap();
        assert_eq!(sample["metrics"]["acc"].as_f64().unwrap(), f64::from(u8::from(best["right"] == true)));
        assert!(options.iter().all(|option| option["standard_error"].as_f64().unwrap() > 0.0));
        right += sample["metrics"]["acc"].as_f64().unwrap();
    }
    assert!((whole["metrics"]["acc"]["value"].as_f64().unwrap() - right / 3.0).abs() < 1e-12);

    // Killed in the middle of the second line.
    let first = text.split_inclusive('\n').next().unwrap();
    fs::write(&out, &text[..first.len() + 20]).unwrap();
    assert_eq!(timeless(report(&evaluate(folder.path(), "arc_challenge", "arc.jsonl", args))), whole);
    assert_eq!(fs::read_to_string(&out).unwrap(), text);

    let refused = evaluate(folder.path(), "arc_challenge", "arc.jsonl", &format!("{args} --seed 1"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("hint: rm samples.jsonl, or choose another --out"), "{}", stderr(&refused));
    assert_eq!(fs::read_to_string(&out).unwrap(), text);
}

/// Shots come out of the file, and guidance has a figure of its own.
#[test]
fn published_figures_are_those_of_the_settings() {
    let folder = tempdir().unwrap();
    let published = |args: &str| {
        let args = format!("{args} --limit 1 --mc-num 1 --json");
        report(&evaluate(folder.path(), "arc_challenge", "arc.jsonl", &args))["published"].clone()
    };
    assert_eq!(published("--settings-of base --cfg-scale 0.5"), serde_json::json!({"acc_norm": 0.479}));
    assert_eq!(published("--settings-of base --cfg-scale 0.3"), serde_json::json!({}));
    assert_eq!(published(""), serde_json::json!({}));
    let shots = format!("--settings-of base --num-fewshot 1 --fewshot-data {}", data("arc.jsonl").display());
    assert_eq!(published(&shots), serde_json::json!({}));
    let table =
        stdout(&evaluate(folder.path(), "arc_challenge", "arc.jsonl", "--settings-of base --limit 1 --mc-num 1"));
    assert!(table.starts_with("metric") && table.contains("published (base)") && table.contains("45.9 %"), "{table}");
}

#[test]
fn answers_are_judged_and_resumed() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("samples.jsonl");
    let args = "--settings-of instruct --out samples.jsonl --json";
    let whole = timeless(report(&evaluate(folder.path(), "poem_reversal", "poems.json", args)));
    assert_eq!((&whole["settings"]["gen_length"], &whole["settings"]["logits_eos_inf"]), (&28.into(), &true.into()));
    assert_eq!((&whole["metrics"]["contains"]["value"], &whole["nfe"]), (&0.0.into(), &(2 * 28).into()));
    assert_eq!(whole["published"], serde_json::json!({"contains": 0.456}));
    let text = fs::read_to_string(&out).unwrap();
    let samples = lines(&out);
    assert_eq!((samples.len(), samples[0]["text"].is_string()), (2, true));
    assert!(samples[0]["prompt"].as_str().unwrap().starts_with("灯下读书人。"));

    fs::write(&out, text.split_inclusive('\n').next().unwrap()).unwrap();
    let again = evaluate(folder.path(), "poem_reversal", "poems.json", &format!("{args} --batch-size 2"));
    assert_eq!((timeless(report(&again)), fs::read_to_string(&out).unwrap()), (whole, text));

    // What is typed goes before what is published.
    let typed = "--settings-of instruct --gen-length 8 --block-length 4 --steps 4 --eos allow --json";
    let typed = report(&evaluate(folder.path(), "poem_reversal", "poems.json", typed));
    assert_eq!((&typed["settings"]["logits_eos_inf"], &typed["nfe"]), (&false.into(), &(2 * 4).into()));
    assert_eq!(typed["published"], serde_json::json!({}));
}

/// The published settings of a family set the sampler of the family, and a method of one's own replaces it.
#[test]
fn published_settings_set_the_sampler_of_their_family() {
    let folder = tempdir().unwrap();
    let settings = |model: &str, typed: &str| {
        let args = format!("--settings-of {model} {typed} --num-fewshot 0 --limit 1 --gen-length 32 --steps 32 --json");
        report(&evaluate(folder.path(), "gsm8k", "gsm8k.jsonl", &args))["settings"].clone()
    };
    let dream = |temperature: f64, top_p: f64| serde_json::json!({"decoder": "dream", "remasking": "entropy", "temperature": temperature, "top_p": top_p});
    let llada2 = serde_json::json!({"decoder": "llada2", "threshold": 0.95, "cache": "block", "stop_at_eos": true});
    let edit = |threshold: f64, editing_threshold: f64| serde_json::json!({"decoder": "llada2_edit", "threshold": threshold, "editing_threshold": editing_threshold});
    for (model, typed, expected) in [
        ("dream-7b-base", "", dream(0.0, 0.95)),
        ("dream-7b", "", dream(0.1, 0.9)),
        ("dream-7b", "--top-p 0.5", dream(0.1, 0.5)),
        ("llada2-mini", "", llada2),
        ("llada2.1-mini-q", "", edit(0.7, 0.5)),
        ("llada2.1-mini-s", "", edit(0.5, 0.0)),
        ("smdm", "", serde_json::json!({"decoder": "smdm", "temperature": 0.1, "cfg_scale": 0.1})),
        ("dream-7b", "--decoder threshold", serde_json::json!({"decoder": "threshold", "temperature": 0.0})),
        ("llada2-mini", "--algorithm vanilla", serde_json::json!({"decoder": "schedule", "cache": "none"})),
    ] {
        let found = settings(model, typed);
        for (option, value) in expected.as_object().unwrap() {
            assert_eq!(&found[option], value, "{model} {typed}: {option}");
        }
    }
}

#[test]
fn code_is_for_a_sandbox() {
    let folder = tempdir().unwrap();
    let refused = evaluate(folder.path(), "humaneval", "humaneval.jsonl", "--gen-length 8");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("\nhint: --out samples.jsonl"), "{}", stderr(&refused));
    let table = stdout(&evaluate(folder.path(), "humaneval", "humaneval.jsonl", "--gen-length 8 --out samples.jsonl"));
    assert!(table.contains("nothing was executed") && table.contains("2 questions, 16 forwards"), "{table}");
    let samples = lines(&folder.path().join("samples.jsonl"));
    assert_eq!(samples[1]["task_id"], "Test/1");
    assert!(samples.iter().all(|sample| sample["completion"].is_string()));

    let twice = fs::read_to_string(data("humaneval.jsonl")).unwrap().repeat(2);
    fs::write(folder.path().join("twice.jsonl"), twice).unwrap();
    let twice = folder.path().join("twice.jsonl");
    let output =
        evaluate(folder.path(), "humaneval", twice.to_str().unwrap(), "--gen-length 8 --out twice-samples.jsonl");
    assert!(stderr(&output).contains("row 4: task_id \"Test/1\" was there before"), "{}", stderr(&output));
    assert!(output.status.success());
}

#[test]
fn impossible_jobs_are_refused() {
    let folder = tempdir().unwrap();
    let absent = "hf download --repo-type dataset openai/gsm8k main/test.parquet";
    for (args, code, part) in [
        ("gsm8k --data nowhere.jsonl", 3, "cannot read nowhere.jsonl"),
        ("gsm8k --data hf:openai/gsm8k/main/test.parquet", 3, absent),
        ("gsm8k --data hf:gsm8k", 3, "does not name a file of a dataset"),
        ("gsm8k --data cut.parquet", 2, "cut.parquet: not a parquet file that can be read"),
        ("gsm8k --data other.jsonl", 2, "other.jsonl, row 1: no column answer, but a\nhint: llada eval TASK --help"),
        (
            "gsm8k --data good.jsonl --settings-of base",
            2,
            "5 shots are asked for, and no file to take them from\nhint: --fewshot-data",
        ),
        ("gsm8k --data good.jsonl --num-fewshot 1 --fewshot-data good.jsonl", 2, "good.jsonl, row 1: 1 shots"),
        ("gsm8k --data good.jsonl --gen-length 512", 2, "gen_length 512 exceed max_sequence_length 256"),
        ("gsm8k --data good.jsonl --settings-of large", 2, "base, instruct, 1.5"),
        ("gsm8k --data good.jsonl --limit 0", 2, "0 is not in 1.."),
        ("gsm8k", 2, "--data"),
        ("chess --data good.jsonl", 2, "unrecognized subcommand 'chess'"),
    ] {
        fs::write(folder.path().join("cut.parquet"), "PAR1").unwrap();
        fs::write(folder.path().join("other.jsonl"), "{\"a\": 1}").unwrap();
        fs::write(folder.path().join("good.jsonl"), r#"{"question": "1 + 1?", "answer": "2"}"#).unwrap();
        let mut command = command();
        command.arg("eval").args(args.split(' ')).arg("--model").arg(fixture("tiny-llada"));
        let output = command.current_dir(folder.path()).env("HF_HUB_CACHE", folder.path()).output().unwrap();
        let message = stderr(&output);
        assert!(output.status.code() == Some(code) && message.contains(part), "{args}: {message}");
    }
}

/// Questions that cannot be asked are refused before the first is, and what an earlier run has written stays.
#[test]
fn lengths_are_known_before_the_first_question() {
    let folder = tempdir().unwrap();
    let file = |name: &str, question: &dyn Fn(&str) -> String| {
        let lines = ["short?", &"long ".repeat(400), "last?", &"long ".repeat(500)].map(|text| question(text) + "\n");
        fs::write(folder.path().join(name), lines.concat()).unwrap();
    };
    file("arc.jsonl", &|text| {
        serde_json::json!({"question": text, "answerKey": "A", "choices": {"text": ["a", "b"], "label": ["A", "B"]}})
            .to_string()
    });
    file("gsm8k.jsonl", &|text| serde_json::json!({"question": text, "answer": "#### 1"}).to_string());
    fs::write(folder.path().join("out.jsonl"), "").unwrap();
    let run = |args: &str| {
        let mut command = command();
        command.arg("eval").args(args.split(' ')).arg("--model").arg(fixture("tiny-llada"));
        command.current_dir(folder.path()).output().unwrap()
    };
    let leave = "max_sequence_length 256\nhint: leave such records out of the data, or ask a model of a greater \
                 max_sequence_length";
    let fewer = "\nhint: --num-fewshot 1, or fewer";
    let shots = "--num-fewshot 2 --fewshot-data arc.jsonl --limit 1";
    for (args, part) in [
        ("arc_easy --data arc.jsonl --mc-num 1 --out out.jsonl", leave),
        ("gsm8k --data gsm8k.jsonl --gen-length 4 --out out.jsonl", leave),
        (&format!("arc_easy --data arc.jsonl --mc-num 1 {shots}"), fewer),
        ("gsm8k --data gsm8k.jsonl --limit 1 --gen-length 256", "\nhint: --gen-length "),
        ("gsm8k --data gsm8k.jsonl --gen-length 4", "row 2 and 1 more: "),
    ] {
        let refused = run(args);
        let message = stderr(&refused);
        assert!(refused.status.code() == Some(2) && message.contains(part), "{args}: {message}");
        assert!(
            message.contains(".jsonl, row ") && fs::read(folder.path().join("out.jsonl")).unwrap().is_empty(),
            "{message}"
        );
    }
    assert!(stdout(&run("arc_easy --data arc.jsonl --mc-num 1 --limit 1")).contains("1 questions"));
}

/// Ctrl-C in the middle: exit code 130, whole lines only, and the same command finishes the rest.
#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_is_done() {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    let folder = tempdir().unwrap();
    let record = fs::read_to_string(data("piqa.jsonl")).unwrap();
    fs::write(folder.path().join("data.jsonl"), record.repeat(15)).unwrap();
    let run = || {
        let mut command = command();
        command.args(["eval", "piqa", "--data", "data.jsonl", "--out", "samples.jsonl", "--model"]);
        command.arg(fixture("tiny-llada")).current_dir(folder.path());
        command
    };
    let out = folder.path().join("samples.jsonl");
    let mut child = run().stdout(std::process::Stdio::null()).spawn().unwrap();
    while fs::metadata(&out).map_or(0, |file| file.len()) == 0 && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let before = fs::read_to_string(&out).unwrap();
    assert!(before.ends_with('\n') && before.lines().count() < 30);
    let table = stdout(&run().args(["--mc-num", "128"]).output().unwrap());
    assert!(table.contains("30 questions"), "{table}");
    assert!(fs::read_to_string(&out).unwrap().starts_with(&before));
}
