//! `llada inspect`: what a checkpoint holds, and everything that keeps it from loading.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{command, fixture, report, stderr, stdout};

/// A copy of a fixture's config and weights, with keys set in its config.
fn variant(keys: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("tiny-llada-gqa-bf16");
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(source.join(file), folder.path().join(file)).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    fs::write(path, config.to_string()).unwrap();
    folder
}

fn inspect(folder: &Path, args: &[&str]) -> Output {
    command().arg("inspect").arg(folder).args(args).output().unwrap()
}

#[test]
fn keys_without_effect_and_files_that_are_not_read_are_listed() {
    let folder = variant(&json!({ "id2label": { "0": "L" }, "unsloth_version": "1", "rope_scaling": null }));
    fs::write(folder.path().join("pytorch_model.bin"), "").unwrap();
    fs::write(folder.path().join("model.safetensors.index.json"), "").unwrap();
    let text = stdout(&inspect(folder.path(), &[]));
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    for key in ["id2label", "unsloth_version", "rope_scaling"] {
        assert!(line("no effect").contains(key), "{text}");
    }
    assert_eq!(line("not read").trim(), "model.safetensors.index.json, pytorch_model.bin");
    let report = report(&inspect(folder.path(), &["--json"]));
    assert!(report["keys_without_effect"].as_array().unwrap().contains(&json!("id2label")));
    assert_eq!(report["problems"], json!([]));
}

#[test]
fn every_reason_is_told_and_the_rest_is_shown() {
    let folder = variant(&json!({ "alibi_slopes_v2": 1, "rope": false, "n_layers": 5, "mystery": true }));
    fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
    let output = inspect(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    for part in ["alibi_slopes_v2: unknown key", "rope: false", "mystery", "blocks.4.q_proj.weight", "tokenizer.json"] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert!(message.contains("\n  config.json: mystery: unknown key (value true)\n    hint: remove it"), "{message}");
    let shown = String::from_utf8(output.stdout).unwrap();
    for part in ["layers        5 of width 96", "39 BF16", "files"] {
        assert!(shown.contains(part), "{shown} lacks {part}");
    }
    let output = inspect(folder.path(), &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["problems"].as_array().unwrap().len() >= 5 && report["config"]["n_layers"] == 5, "{report}");
}

#[test]
fn a_shape_that_cannot_be_told_leaves_the_weights_to_be_shown() {
    let folder = variant(&json!({ "n_layers": "4", "d_model": -1 }));
    let output = inspect(folder.path(), &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["config"], &report["parameters"], &report["tensors"]["BF16"]),
        (&json!(null), &json!(null), &json!(39))
    );
    assert_eq!(report["problems"].as_array().unwrap().len(), 2);
    fs::write(folder.path().join("model.safetensors"), "").unwrap();
    let message = stderr(&inspect(folder.path(), &[]));
    assert!(message.contains("n_layers") && message.contains("not a whole safetensors file"), "{message}");
    assert!(message.contains("\n    hint: fetch the file again"), "{message}");
}

#[test]
fn another_architecture_is_named_with_those_that_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "architectures": ["LLaDAVLForMaskedLM"], "model_type": "llada", "hidden_size": 2048 });
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let asked = ["generate", "--prompt-ids", "1", "--model"];
    for output in [inspect(folder.path(), &[]), command().args(asked).arg(folder.path()).output().unwrap()] {
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1));
        assert!(message.contains("the architecture is LLaDAVLForMaskedLM, which is not read"), "{message}");
        assert!(message.contains("hint: architectures that are read: LLaDAModelLM"), "{message}");
        assert!(!message.contains("d_model"), "{message}");
    }
}

#[test]
fn an_answer_ends_at_any_of_several_ends() {
    let ask = |folder: &Path| {
        let mut command = command();
        command.args(["generate", "--prompt-ids", "9,8", "--gen-length", "16", "--json", "--model"]).arg(folder);
        report(&command.output().unwrap())
    };
    let plain = ask(variant(&json!({})).path());
    let third = plain["output_ids"][2].clone();
    let several = ask(variant(&json!({ "eos_token_id": [760, third] })).path());
    assert_eq!(several["output_ids"], plain["output_ids"]);
    let (short, long) = (several["text"].as_str().unwrap(), plain["text"].as_str().unwrap());
    assert!(short.len() < long.len() && long.starts_with(short), "{short:?} {long:?}");
}
