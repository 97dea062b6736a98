//! Checkpoints that are not converted: the error names what is in the way, and nothing is left behind.

use std::fs;

use serde_json::json;

use super::{in_f32, run, sample::SAMPLES, written};
use crate::{told, variant::set};

/// The error of converting the first sample with these keys of its config.
fn refusal(keys: serde_json::Value) -> String {
    let folder = written(&SAMPLES[0]);
    set(folder.path(), keys);
    let out = folder.path().join("out");
    let error = run(folder.path(), &out, &in_f32()).unwrap_err();
    assert!(!out.exists());
    assert!(fs::read_dir(folder.path()).unwrap().all(|entry| !entry.unwrap().path().ends_with("out.tmp")));
    told(&error)
}

#[test]
fn what_a_config_says_is_honoured_or_refused() {
    let message = refusal(json!({ "architectures": ["GPT2LMHeadModel"] }));
    assert_eq!(
        message,
        "config.json: the architecture is GPT2LMHeadModel, which is not read\nhint: architectures that are read: \
         LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM"
    );
    let message = refusal(json!({ "rope_scaling": { "rope_type": "llama3", "factor": 8.0 } }));
    assert!(message.starts_with("config.json: rope_scaling: "), "{message}");
    let message = refusal(json!({ "hidden_act": "gelu" }));
    assert!(message.starts_with("config.json: hidden_act: \"gelu\" is not supported"), "{message}");
    let message = refusal(json!({ "num_hidden_layers": 1 << 27 }));
    assert!(
        message.starts_with("config.json: num_hidden_layers: 134217728 layers cannot be in 20 tensors"),
        "{message}"
    );
    let message = refusal(json!({ "num_hidden_layers": 1 }));
    assert!(message.contains("unexpected tensor model.layers.1."), "{message}");
    let message = refusal(json!({ "num_hidden_layers": 3 }));
    assert!(message.contains("tensor model.layers.2.self_attn.q_proj.weight is missing"), "{message}");
    let message = refusal(json!({ "vocab_size": 41 }));
    assert!(
        message.contains("model.embed_tokens.weight has shape [40, 32], config.json calls for [41, 32]"),
        "{message}"
    );
    let message = refusal(json!({ "eos_token_id": null }));
    assert!(message.starts_with("config.json: eos_token_id: the key is missing, and no tokenizer"), "{message}");
}

#[test]
fn a_folder_that_is_there_is_not_replaced() {
    let folder = written(&SAMPLES[0]);
    let out = folder.path().join("out");
    fs::create_dir(&out).unwrap();
    let message = told(&run(folder.path(), &out, &in_f32()).unwrap_err());
    assert!(message.ends_with("out: is there already\nhint: remove it, or give another folder"), "{message}");
}
