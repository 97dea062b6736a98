//! Bad input: the exit code of its kind, a message that names the value, a hint where one helps, and no output file.

use std::{fs, os::unix::fs::symlink, path::Path, process::Output};

use tempfile::{TempDir, tempdir};

use crate::{command, fixture, llada, report, stderr};

fn check(output: &Output, code: i32, parts: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn impossible_settings_are_usage_errors() {
    for (args, parts) in [
        (
            &["--reference-compat", "--block-length", "24"][..],
            &["block_length 24", "\nhint: --block-length 16 or --block-length 32"][..],
        ),
        (
            &["--reference-compat", "--block-length", "16", "--steps", "10"],
            &["steps 10", "\nhint: --steps 8 or --steps 12"],
        ),
        (&["--block-length", "16", "--steps", "3"], &["steps 3 is less than the 4 blocks", "\nhint: --steps 4"]),
        (&["--max-nfe", "2", "--block-length", "16"], &["max_nfe 2", "\nhint: --max-nfe 4, or longer blocks"]),
        (&["--length", "daedal"], &["decoder schedule", "\nhint: --decoder threshold"]),
        (&["--gamma", "5", "--decoder", "threshold"], &["no option gamma", "\nhint: --decoder entropy_bounded"]),
        (&["--transfer-ratio", "0.5"], &["cache none has no option transfer_ratio", "\nhint: --cache dllm"]),
        (&["--initial-gen-length", "9"], &["length fixed has no option", "\nhint: --length daedal"]),
        (&["--temperature", "nan"], &["--temperature is not a finite number"]),
        (&["--length", "long"], &["unknown length", "fixed, append or daedal"]),
        (&["--decoder", "luck"], &["unknown decoder", "schedule, threshold, "]),
        (&["--gen-length", "1000"], &["max_sequence_length 256", "\nhint: --gen-length 253 is the most"]),
        (&["--gen-length", "0"], &["gen_length is 0"]),
        (&["--temperature", "-1"], &["temperature -1"]),
        (&["--cfg-scale", "-1"], &["cfg_scale -1"]),
        (&["--remasking", "luck"], &["luck", "low_confidence, random, margin or entropy"]),
        (&["--device", "tpu"], &["tpu", "--device cpu"]),
        (
            &["--no-cuda-graphs"],
            &["--no-cuda-graphs: on cpu there are none", "\nhint: leave it out, or --device cuda:0"],
        ),
        (&["--dtype", "f16"], &["f16", "bf16"]),
        (&["--threads", "0"], &["0 is not in 1.."]),
        (&["--chat", "hello"], &["cannot be used with"]),
    ] {
        let all = [&["--prompt-ids", "1,2,3", "--gen-length", "64"], args].concat();
        let all = if args[0] == "--gen-length" { [&all[..2], args].concat() } else { all };
        check(&llada("generate", "tiny-llada", &all), 2, parts);
    }
    check(&llada("generate", "tiny-llada", &["--prompt-ids", "1,x"]), 2, &["\"x\" is not a token id"]);
    check(&llada("generate", "tiny-llada", &["--prompt-ids", "1,512"]), 2, &["id 512 at position 1", "below 512"]);
    check(&llada("generate", "tiny-llada", &[]), 2, &["--prompt"]);
    check(&llada("score", "tiny-llada", &["--prompt-ids", "1", "--answer-ids", ""]), 2, &["no tokens", "hint: "]);
    check(
        &llada("score", "tiny-llada", &["--prompt-ids", "1", "--answer-ids", "2", "--mc-num", "0"]),
        2,
        &["mc_num is 0"],
    );
    let scaled = ["--prompt-ids", "1", "--answer-ids", "2", "--cfg-scale=-1"];
    check(&llada("score", "tiny-llada", &scaled), 2, &["cfg_scale -1 is outside of [0, inf]"]);
}

#[test]
fn a_device_that_is_not_there_is_an_environment_error() {
    let output = llada("generate", "tiny-llada", &["--prompt-ids", "1", "--device", "cuda:7"]);
    check(&output, 3, &["device cuda:7", "hint: "]);
    let output = llada("generate", "tiny-llada", &["--prompt-ids", "1", "--device", "tpu"]);
    check(&output, 2, &["device tpu: not a device's name; hint: --device cpu or --device cuda:0"]);
}

/// A copy of a fixture without its golden files.
fn copy() -> TempDir {
    let folder = tempdir().unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixture("tiny-llada-gqa-bf16").join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn generate(folder: &Path) -> Output {
    command().args(["generate", "--prompt-ids", "1", "--gen-length", "4", "--model"]).arg(folder).output().unwrap()
}

#[test]
fn a_model_of_the_cache_is_asked_for_by_its_name() {
    let cache = tempdir().unwrap();
    let inspect = || {
        let mut command = command();
        command.args(["inspect", "llada-1.5", "--json"]).env("HF_HUB_CACHE", cache.path());
        command.output().unwrap()
    };
    check(&inspect(), 3, &["no model GSAI-ML/LLaDA-1.5", "\nhint: cargo xtask fetch-weights GSAI-ML/LLaDA-1.5"]);

    let repository = cache.path().join("models--GSAI-ML--LLaDA-1.5");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let snapshot = repository.join("snapshots").join(commit);
    for folder in [&snapshot, &repository.join("refs")] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(repository.join("refs/main"), commit).unwrap();
    fs::copy(fixture("tiny-llada-gqa-bf16").join("config.json"), snapshot.join("config.json")).unwrap();
    check(&inspect(), 3, &["without model.safetensors", "\nhint: cargo xtask fetch-weights GSAI-ML/LLaDA-1.5"]);

    symlink(fixture("tiny-llada-gqa-bf16").join("model.safetensors"), snapshot.join("model.safetensors")).unwrap();
    assert_eq!(report(&inspect())["problems"], serde_json::json!([]));
}

#[test]
fn what_is_neither_a_folder_nor_a_name_is_no_model() {
    let folder = tempdir().unwrap();
    let input = folder.path().join("requests.jsonl");
    fs::write(&input, r#"{"id": 1, "prompt_ids": [1]}"#).unwrap();
    for command in ["generate", "score", "logits", "quantize", "batch", "compare"] {
        let args: &[&str] = match command {
            "generate" => &["--prompt-ids", "1"],
            "score" => &["--prompt-ids", "1", "--answer-ids", "2"],
            "logits" => &["--ids", "1", "--out", "out"],
            "quantize" => &["--out", "out"],
            "batch" => &["--input", input.to_str().unwrap(), "--output", "out"],
            _ => &["--tasks", "1"],
        };
        let output = crate::command().args([command, "--model", "nope"]).args(args).output().unwrap();
        check(&output, 3, &["there is no model \"nope\"", "\nhint: a folder with config.json, one of llada-8b-base"]);
    }
    let output = command().args(["inspect", "nope"]).output().unwrap();
    check(&output, 3, &["there is no model \"nope\"", "\nhint: a folder with config.json"]);
}

#[test]
fn variables_of_the_cache_are_expanded() {
    let home = tempdir().unwrap();
    for value in ["~/hf", "$HOME/hf", "${HOME}/hf"] {
        let mut command = command();
        command.args(["inspect", "llada-1.5"]).env_remove("HF_HUB_CACHE").env_remove("HUGGINGFACE_HUB_CACHE");
        let output = command.env("HOME", home.path()).env("HF_HOME", value).output().unwrap();
        check(&output, 3, &[&format!("in the cache {}", home.path().join("hf/hub").display())]);
    }
}

#[test]
fn broken_checkpoints_fail() {
    let folder = copy();
    let config = folder.path().join("config.json");
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&config, &elsewhere).unwrap();
    let missing = generate(folder.path());
    check(&missing, 3, &["cannot read", "config.json", "No such file"]);
    assert_eq!(stderr(&missing).matches("No such file").count(), 1);
    fs::rename(&elsewhere, &config).unwrap();

    let weights = folder.path().join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    check(&generate(folder.path()), 1, &["model.safetensors", "not a whole safetensors file", "hint: "]);
    fs::write(&weights, &whole).unwrap();

    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"n_layers\": 4", "\"n_layers\": 5")).unwrap();
    check(&generate(folder.path()), 1, &["tensor model.transformer.blocks.4.", "is missing"]);
    fs::write(&config, text.replace("\"vocab_size\": 764", "\"vocab_size\": 764, \"mystery\": 1")).unwrap();
    check(&generate(folder.path()), 1, &["config.json: mystery", "unknown key"]);
    fs::write(&config, &text).unwrap();

    fs::write(folder.path().join("tokenizer.json"), b"\xff\xfe").unwrap();
    check(&generate(folder.path()), 1, &["tokenizer.json", "not UTF-8"]);
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    check(&generate(folder.path()), 1, &["tokenizer.json"]);
}

#[test]
fn files_that_cannot_be_written_leave_nothing() {
    let folder = tempdir().unwrap();
    let args = ["--ids", "1,2", "--out"];
    let missing = folder.path().join("missing/logits.safetensors");
    let output = llada("logits", "tiny-llada", &[&args[..], &[missing.to_str().unwrap()]].concat());
    check(&output, 3, &["cannot write", "missing/logits.safetensors", "No such file"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Nobody reads what it prints: no error to shout about.
#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command().arg("inspect").arg(fixture("tiny-llada")).stdout(writer).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(stderr(&output), "");
}

#[test]
fn help_teaches_every_command() {
    let help = |args: &[&str]| String::from_utf8(command().args(args).output().unwrap().stdout).unwrap();
    insta::assert_snapshot!("help", help(&["--help"]));
    for name in ["generate", "chat", "batch", "compare", "score", "decide", "logits", "inspect"] {
        insta::assert_snapshot!(format!("help-{name}"), help(&[name, "--help"]));
    }
    for name in [
        "pretrain",
        "sft",
        "tokenizer train",
        "data prepare",
        "tasks generate",
        "eval",
        "eval tiny",
        "eval mmlu",
        "eval gsm8k",
    ] {
        let words: Vec<&str> = name.split(' ').chain(["--help"]).collect();
        insta::assert_snapshot!(format!("help-{}", name.replace(' ', "-")), help(&words));
    }
}
