//! The text side of a checkpoint, in every command: files that say too much, too little, or nothing that can be read.

use std::{fs, os::unix::fs::symlink, process::Output};

use serde_json::{Value, json as object};
use tempfile::TempDir;

use crate::{command, fixture, json, report, stderr, stdout};

/// A copy of the fixture tiny-llada, its weights linked, after `change` of `file`.
fn variant(file: &str, change: impl FnOnce(&mut Value)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture("tiny-llada")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if name.to_string_lossy().ends_with(".safetensors") {
            symlink(fs::canonicalize(&path).unwrap(), folder.path().join(name)).unwrap();
        } else {
            fs::copy(&path, folder.path().join(name)).unwrap();
        }
    }
    let mut value = json("tiny-llada", file);
    change(&mut value);
    fs::write(folder.path().join(file), value.to_string()).unwrap();
    folder
}

fn llada(folder: &TempDir, command_and_args: &[&str]) -> Output {
    let (name, args) = command_and_args.split_first().unwrap();
    let model = folder.path().to_str().unwrap();
    let model = if *name == "inspect" { vec![model] } else { vec!["--model", model] };
    command().current_dir(folder).arg(name).args(model).args(args).output().unwrap()
}

const CHAT: [&str; 5] = ["generate", "--chat", "What is 2 + 3?", "--gen-length", "4"];
const IDS: [&str; 5] = ["generate", "--prompt-ids", "5,6", "--gen-length", "4"];
const TEXT: [&str; 5] = ["generate", "--prompt", "2 + 3", "--gen-length", "4"];

#[test]
fn what_is_for_batches_changes_no_prompt() {
    let plain = variant("tokenizer.json", |_| ());
    let batching = variant("tokenizer.json", |tokenizer| {
        tokenizer["truncation"] =
            object!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
        tokenizer["padding"] = object!({"strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": null,
            "pad_id": 1, "pad_type_id": 0, "pad_token": "<|endoftext|>"});
    });
    for args in [&CHAT[..], &TEXT[..]] {
        let [a, b] = [&plain, &batching].map(|folder| report(&llada(folder, &[args, &["--json"]].concat())));
        assert_eq!((&a["prompt_tokens"], &a["output_ids"]), (&b["prompt_tokens"], &b["output_ids"]));
    }
    let score = ["score", "--prompt", "The capital of France is", "--answer", " a city", "--mc-num", "2", "--json"];
    let [a, b] = [&plain, &batching].map(|folder| report(&llada(folder, &score)));
    assert_eq!((&a["prompt_tokens"], &a["log_likelihood"]), (&b["prompt_tokens"], &b["log_likelihood"]));
}

#[test]
fn a_broken_template_stops_chats_alone() {
    let folder = variant("tokenizer_config.json", |settings| settings["chat_template"] = "{% if %}".into());
    for args in [IDS, TEXT] {
        stdout(&llada(&folder, &args));
    }
    let shown = stdout(&llada(&folder, &["inspect"]));
    assert!(shown.contains("chats         none: ") && shown.contains("syntax error"), "{shown}");
    let output = llada(&folder, &CHAT);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("tokenizer_config.json: chat template: syntax error"), "{}", stderr(&output));
    assert!(stdout(&llada(&variant("config.json", |_| ()), &["inspect"])).contains("chats         yes"));
}

#[test]
fn a_base_model_has_no_chats() {
    let folder =
        variant("tokenizer_config.json", |settings| _ = settings.as_object_mut().unwrap().remove("chat_template"));
    let tokenizer = fs::read_to_string(folder.path().join("tokenizer.json")).unwrap();
    stdout(&llada(&folder, &CHAT));
    fs::write(folder.path().join("tokenizer.json"), tokenizer.replace("<|eot_id|>", "<|reserved_token_9|>")).unwrap();
    let message = stderr(&llada(&folder, &CHAT));
    assert!(
        message.contains("chat_template is not set") && message.contains("has not: <|eot_id|>\nhint: "),
        "{message}"
    );
    let refused = llada(&folder, &["chat"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).ends_with("\nhint: llada generate --prompt TEXT continues a text\n"),
        "{}",
        stderr(&refused)
    );
    fs::write(folder.path().join("chats.jsonl"), "{\"messages\": []}\n").unwrap();
    let prepare = "data prepare --format chat --input chats.jsonl --tokenizer . --out data";
    let output = command().current_dir(&folder).args(prepare.split(' ')).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("chat_template is not set"), "{}", stderr(&output));
    stdout(&llada(&folder, &TEXT));
}

#[test]
fn a_torn_tokenizer_is_named_with_the_place() {
    let folder = variant("config.json", |_| ());
    let path = folder.path().join("tokenizer.json");
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 500, 3039, whole.len() - 2] {
        fs::write(&path, &whole[..length]).unwrap();
        for args in [&["inspect"][..], &IDS, &TEXT] {
            let output = llada(&folder, args);
            let message = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{message}");
            assert!(message.contains("tokenizer.json: EOF while parsing") && message.contains("line "), "{message}");
            assert!(!message.contains("panicked"), "{message}");
        }
    }
}

#[test]
fn null_keys_and_byte_order_marks_are_nothing() {
    let folder = variant("config.json", |_| ());
    let requests = [
        object!({"id": 1, "messages": [{"role": "user", "content": "2 + 3", "name": null}], "gen_length": 4, "steps": null}),
        object!({"id": 2, "prompt": "2 + 3", "messages": null, "gen_length": 4, "seed": null, "other": null}),
    ];
    let marked = format!("\u{feff}{}\n{}\n", requests[0], requests[1]);
    fs::write(folder.path().join("requests.jsonl"), marked).unwrap();
    stdout(&llada(&folder, &["batch", "--input", "requests.jsonl", "--output", "results.jsonl"]));
    let prompts =
        "\u{feff}{\"messages\": [{\"role\": \"user\", \"content\": \"a\", \"weight\": null}], \"prompt\": null}\n";
    fs::write(folder.path().join("prompts.jsonl"), prompts).unwrap();
    stdout(&llada(&folder, &["compare", "--prompts", "prompts.jsonl", "--gen-length", "4"]));
}

#[test]
fn what_was_left_out_of_the_data_is_told() {
    let folder = variant("config.json", |_| ());
    let turn = |role: &str, text: &str| object!({"role": role, "content": text});
    let lines = [
        object!({"messages": [turn("user", "What is <|mdm_mask|>?"), turn("assistant", "A mask.<|endoftext|>")]}),
        object!({"messages": [turn("human", "a"), turn("gpt", "b")]}),
        object!({"messages": [turn("user", "a")]}),
    ];
    fs::write(folder.path().join("chats.jsonl"), lines.map(|line| format!("{line}\n")).concat()).unwrap();
    let prepare = "data prepare --format chat --input chats.jsonl --tokenizer . --out data";
    let output = command().current_dir(&folder).args(prepare.split(' ')).output().unwrap();
    stdout(&output);
    for told in [
        "1 record in data",
        "conversations left out for unknown roles: 1 (\"gpt\" in 1, \"human\" in 1)\nhint: ",
        "conversations left out without an answer of the assistant: 1",
        "masks spelled in the text: 1; <|mdm_mask|> was read as text",
        "ends of text spelled in the text: 1; it ends there",
    ] {
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
}
