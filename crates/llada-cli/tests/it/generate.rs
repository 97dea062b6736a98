//! `llada generate`: what it prints, shows and writes.

use std::fs;

use llada_core::trace::Trace;
use serde_json::{Value, json as object};
use tempfile::tempdir;

use crate::{book::root, command, fixture, golden::batch, json, llada, report, stderr, stdout};

const SHORT: [&str; 6] = ["--steps", "8", "--gen-length", "16", "--block-length", "8"];

#[test]
fn json_is_one_object_with_every_figure() {
    let output = llada("generate", "tiny-llada", &[&["--prompt", "Hello, world!", "--json"], &SHORT[..]].concat());
    let report = report(&output);
    assert_eq!(report["output_ids"].as_array().unwrap().len(), 16);
    assert_eq!((&report["nfe"], &report["prompt_tokens"]), (&8.into(), &9.into()));
    for key in ["seconds", "tokens_per_second", "load_seconds", "peak_rss_mb"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert!(report["text"].is_string());
    assert_eq!(stderr(&output), "");
}

#[test]
fn text_prompts_chats_and_ids_agree() {
    let case = &json("tiny-llada", "golden_text.json")["chat"][0];
    let ids: Vec<String> = case["ids"].as_array().unwrap().iter().map(Value::to_string).collect();
    let text = |prompt: &[&str]| {
        let args = ["--steps", "16", "--gen-length", "32", "--block-length", "16"];
        stdout(&llada("generate", "tiny-llada", &[prompt, &args].concat()))
    };
    let expected = format!("{}\n", case["generate"]["text"].as_str().unwrap());
    assert_eq!(text(&["--chat", case["messages"][0]["content"].as_str().unwrap()]), expected);
    assert_eq!(text(&["--prompt", case["rendered"].as_str().unwrap()]), expected);
    assert_eq!(text(&["--prompt-ids", &ids.join(",")]), expected);
}

#[test]
fn a_system_message_comes_first() {
    let chat = |args: &[&str]| report(&llada("generate", "tiny-llada", &[&["--json"], &SHORT[..], args].concat()));
    let (alone, led) = (chat(&["--chat", "Hi"]), chat(&["--system", "Be brief.", "--chat", "Hi"]));
    assert!(led["prompt_tokens"].as_u64() > alone["prompt_tokens"].as_u64());
}

#[test]
fn seeds_decide_and_threads_do_not() {
    let sample = |seed, threads| {
        let args = ["--prompt-ids", "5,6,7", "--temperature", "1", "--json", "--seed", seed, "--threads", threads];
        report(&llada("generate", "tiny-llada-gqa-bf16", &[&args, &SHORT[..]].concat()))["output_ids"].clone()
    };
    assert_eq!(sample("3", "1"), sample("3", "2"));
    assert_ne!(sample("3", "1"), sample("4", "1"));
}

#[test]
fn watching_shows_every_step() {
    let output = llada("generate", "tiny-llada", &[&["--chat", "Hello", "--watch"], &SHORT[..]].concat());
    let shown = stderr(&output);
    // A log has the answer, without the prompt that every line would repeat, and without control tokens.
    assert!(!shown.contains("Hello") && !shown.contains("<|"), "{shown}");
    let steps: Vec<&str> = shown.lines().filter(|line| line.starts_with("step ")).collect();
    assert_eq!(steps.len(), 8);
    let masks = |line: &str| line.matches('░').count();
    assert_eq!(steps.iter().map(|line| masks(line)).collect::<Vec<_>>(), [14, 12, 10, 8, 6, 4, 2, 0]);
    assert!(shown.contains("16 tokens, 8 forwards"));
}

#[test]
fn traces_tell_when_each_token_came() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |trace: &str| {
        let args = ["--prompt", "Hello", "--json", "--trace", trace];
        report(&llada("generate", "tiny-llada", &[&args, &SHORT[..]].concat()))
    };
    let report = run(&path("trace.json"));
    let trace: Trace = serde_json::from_str(&fs::read_to_string(path("trace.json")).unwrap()).unwrap();
    assert_eq!(Value::from(trace.canvas_at(usize::MAX)[trace.prompt_length..].to_vec()), report["output_ids"]);
    assert_eq!(trace.steps.len(), 8);
    run(&path("trace.svg"));
    let picture = fs::read_to_string(path("trace.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("step 8"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "temporary files were left");
}

#[test]
fn masks_in_the_prompt_are_filled() {
    let args = ["--prompt", "The <|mdm_mask|> of<|mdm_mask|>", "--gen-length", "0", "--json"];
    let report = report(&llada("generate", "tiny-llada", &args));
    let filled: Vec<u64> = serde_json::from_value(report["filled_prompt_ids"].clone()).unwrap();
    assert!(!filled.contains(&510));
    assert_eq!(report["prompt_tokens"], filled.len());
    assert_eq!((&report["nfe"], &report["output_ids"]), (&2.into(), &Value::Array(vec![])));
    assert!(report["filled_prompt"].as_str().unwrap().starts_with("The"));
}

/// Only an answer ends at an end-of-text: what the user gave is shown whole, wherever a text is shown.
#[test]
fn an_end_of_text_in_the_prompt_ends_nothing() {
    let folder = tempdir().unwrap();
    let picture = folder.path().join("trace.svg");
    let prompt = ["--prompt", "A lamp.<|endoftext|>B <|mdm_mask|> C D.", "--trace", picture.to_str().unwrap()];
    let whole = |text: &str| text.starts_with("A lamp.B ") && text.contains(" C D.");
    let only = [&prompt[..], &["--gen-length", "0", "--watch"]].concat();
    let output = llada("generate", "tiny-llada", &only);
    assert!(whole(&stdout(&output)), "{}", stdout(&output));
    let step = stderr(&output).lines().next().unwrap().to_owned();
    assert!(whole(step.split_once("masks     0  ").unwrap().1), "{step}");
    let drawn = fs::read_to_string(&picture).unwrap();
    assert!(drawn.contains("\nB\n") && drawn.contains("\nD\n"), "{drawn}");

    let filled = report(&llada("generate", "tiny-llada", &[&prompt[..], &["--json"], &SHORT[..]].concat()));
    assert!(whole(filled["filled_prompt"].as_str().unwrap()), "{filled}");
    let text = stdout(&llada("generate", "tiny-llada", &[&prompt[..], &SHORT[..]].concat()));
    let [prompt, answer] = ["filled_prompt", "text"].map(|key| filled[key].as_str().unwrap());
    assert_eq!(text, format!("{prompt}{answer}\n"));
    let request = object!({"id": 1, "prompt": "A lamp.<|endoftext|>B <|mdm_mask|> C D.", "gen_length": 0});
    assert!(whole(batch("tiny-llada", &[request], &[])[0]["filled_prompt"].as_str().unwrap()));
}

/// llada-tiny has no words for this hole, and fills it with an end-of-text.
#[test]
fn an_end_of_text_in_a_hole_ends_nothing() {
    let mut command = command();
    command.args(["generate", "--gen-length", "0", "--json", "--prompt", "안녕 <|mdm_mask|> 👩 x", "--model"]);
    let filled = report(&command.arg(root().join("models/llada-tiny")).output().unwrap());
    let config: Value =
        serde_json::from_str(&fs::read_to_string(root().join("models/llada-tiny/config.json")).unwrap()).unwrap();
    assert!(filled["filled_prompt_ids"].as_array().unwrap().contains(&config["eos_token_id"]), "{filled}");
    assert_eq!(filled["filled_prompt"], "안녕  👩 x");
}

/// Without an end-of-turn token half of what is deferred does not exist, and that is said.
#[test]
fn what_cannot_be_deferred_is_said() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture("tiny-llada-gqa-bf16").join(file), path(file)).unwrap();
    }
    let request = r#"{"id": 1, "prompt_ids": [1, 2], "gen_length": 4, "eos": "defer"}"#;
    fs::write(path("requests.jsonl"), request).unwrap();
    let run = |args: &str| {
        let args = args.split(' ').chain(["--model", "."]);
        command().current_dir(folder.path()).args(args).output().unwrap()
    };
    let alone = "generate --prompt-ids 1,2 --gen-length 4";
    for args in [&format!("{alone} --eos defer"), "batch --input requests.jsonl --output answers.jsonl"] {
        let output = run(args);
        stdout(&output);
        assert_eq!(stderr(&output).matches("no end-of-turn token is known").count(), 1, "{args}: {}", stderr(&output));
    }
    for args in [alone, &format!("{alone} --eos ban")] {
        assert_eq!(stderr(&run(args)), "", "{args}");
    }
    let nothing = run(&format!("{alone} --eos defer --reference-compat --temperature 1"));
    assert_eq!(nothing.status.code(), Some(2));
    assert!(stderr(&nothing).contains("hint: --temperature 0"), "{}", stderr(&nothing));
    // Where there is such a token, there is nothing to say.
    let output = llada("generate", "tiny-llada", &[&["--prompt", "Hello", "--eos", "defer"], &SHORT[..]].concat());
    assert!(output.status.success() && stderr(&output).is_empty(), "{}", stderr(&output));
}

#[test]
fn a_folder_without_tokenizer_works_on_ids() {
    let folder = tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture("tiny-llada-gqa-bf16").join(file), folder.path().join(file)).unwrap();
    }
    let run = |args: &[&str]| {
        command().args(["generate", "--gen-length", "4", "--model"]).arg(folder.path()).args(args).output().unwrap()
    };
    let ids = stdout(&run(&["--prompt-ids", "1,2"]));
    assert_eq!(ids.trim().split(',').count(), 4);
    assert_eq!(report(&run(&["--prompt-ids", "", "--json"]))["text"], Value::Null);
    let refused = run(&["--prompt", "Hello"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("llada generate --prompt-ids"), "{}", stderr(&refused));
}
