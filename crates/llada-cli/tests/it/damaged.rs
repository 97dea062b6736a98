//! Checkpoints with damaged files, and every command that opens one: an exit code of its kind, within bounds of time
//! and memory.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::{fixture, mutation::survives};

/// Address space that a command may have, in KiB: libtorch maps much of it and uses little.
const MEMORY: u64 = 16 << 20;
const SECONDS: u64 = 60;

/// Runs `llada ARGS` within bounds; its exit code has to be one of those that are documented.
fn bounded(args: &[&str]) -> String {
    let script = format!("ulimit -v {MEMORY}; ulimit -c 0; exec timeout {SECONDS} \"$0\" \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_llada")]).args(args).env("OMP_WAIT_POLICY", "passive");
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0..=3)), "{args:?}: {}: {message}", output.status);
    assert!(!message.contains("panicked"), "{args:?}: {message}");
    assert!(output.status.success() || message.starts_with("error: "), "{args:?}: {message}");
    message
}

/// Every command that opens the checkpoint in `folder`.
fn use_every_command(folder: &Path) {
    let (model, scratch) = (folder.to_str().unwrap(), tempfile::tempdir().unwrap());
    let out = scratch.path().join("out");
    let out = out.to_str().unwrap();
    bounded(&["inspect", model]);
    bounded(&["generate", "--model", model, "--prompt-ids", "1,2", "--gen-length", "4"]);
    bounded(&["logits", "--model", model, "--ids", "1,2", "--out", out]);
    bounded(&["score", "--model", model, "--prompt-ids", "1", "--answer-ids", "2", "--mc-num", "2"]);
    bounded(&["quantize", "--model", model, "--out", &format!("{out}-int8")]);
}

fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        if file == "config.json" || file.starts_with("model") {
            fs::copy(&path, folder.path().join(file)).unwrap();
        }
    }
    folder
}

#[test]
fn damaged_checkpoints_end_with_a_code_of_their_kind() {
    for (name, file) in [
        ("tiny-llada", "config.json"),
        ("tiny-llada", "model.safetensors.index.json"),
        ("tiny-llada-gqa-bf16", "model.safetensors"),
    ] {
        let folder = copy(name);
        let path = folder.path().join(file);
        let whole = fs::read(&path).unwrap();
        let edited = whole.len().min(4096);
        survives(5, &whole[..edited], |bytes| {
            fs::write(&path, [bytes, &whole[edited..]].concat()).unwrap();
            use_every_command(folder.path());
        });
    }
}

#[test]
fn what_a_file_claims_is_not_made_before_it_is_there() {
    for keys in [
        json!({ "n_layers": 1_000_000_000 }),
        json!({ "n_layers": 200_000_000 }),
        json!({ "d_model": 250_000_000, "n_heads": 1_000_000, "n_kv_heads": 1 }),
        json!({ "vocab_size": 250_000_000, "embedding_size": 250_000_000 }),
        json!({ "mlp_hidden_size": 250_000_000 }),
        json!({ "max_sequence_length": 250_000_000 }),
    ] {
        let folder = copy("tiny-llada");
        let path = folder.path().join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        fs::write(path, config.to_string()).unwrap();
        use_every_command(folder.path());
    }
    for header in [
        r#"{"a":{"dtype":"F32","shape":[1000000000000000000],"data_offsets":[0,4000000000000000000]}}"#,
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[0,1000000000000000000],"data_offsets":[0,0]}}"#,
    ] {
        let folder = copy("tiny-llada-gqa-bf16");
        for length in [header.len() as u64, 1 << 26, u64::MAX] {
            let bytes = [&length.to_le_bytes(), header.as_bytes()].concat();
            fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
            use_every_command(folder.path());
        }
    }
}
