//! `config.json`: what keys mean, which of them are refused, and that all that is wrong is told.

use std::{fs, path::Path};

use llada_model::{Device, Dtype, ModelConfig, ModelError, TrainableTransformer, Transformer, Weights};
use serde_json::{Value, json};

use crate::{
    fixture, told,
    variant::{copy, edit_json, set},
};

const NAME: &str = "tiny-llada";

/// The config of the fixture with these keys set.
fn with(keys: Value) -> Result<ModelConfig, ModelError> {
    let folder = copy(NAME);
    set(folder.path(), keys);
    ModelConfig::load(folder.path())
}

/// The config of the fixture without this key.
fn without(key: &str) -> Result<ModelConfig, ModelError> {
    let folder = copy(NAME);
    edit_json(folder.path().join("config.json"), |config| drop(config.as_object_mut().unwrap().remove(key)));
    ModelConfig::load(folder.path())
}

fn original() -> ModelConfig {
    ModelConfig::load(&fixture(NAME)).unwrap()
}

/// Loading fails with a message that contains every one of `parts`.
fn refuses(folder: &Path, parts: &[&str]) {
    let error = told(&Transformer::load(folder, Device::Cpu, Dtype::F32).unwrap_err());
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn keys_are_honoured_or_refused_by_name() {
    for (key, value, message) in [
        ("rope", json!(false), "rope: false is not supported"),
        ("alibi", json!(true), "alibi: true"),
        ("block_type", json!("sequential"), "block_type: \"sequential\""),
        ("activation_type", json!("swiglu"), "activation_type"),
        ("scale_logits", json!(true), "scale_logits"),
        ("sliding_window", json!(128), "sliding_window: unknown key"),
        ("d_model", json!(-5), "d_model: -5"),
        ("d_model", json!(0), "d_model: 0 is not an integer between 1 and"),
        ("d_model", json!(usize::MAX), "d_model: "),
        ("d_model", json!(64.5), "d_model: 64.5"),
        ("d_model", json!("64"), "d_model: \"64\" is not an integer"),
        ("d_model", json!("64"), "\nhint: write it without quotes"),
        ("d_model", json!(true), "d_model: true"),
        ("d_model", json!([64]), "d_model: [64]"),
        ("n_heads", json!(3), "n_heads: 3 does not divide d_model 64"),
        ("n_kv_heads", json!(3), "n_kv_heads: 3 does not divide n_heads 4"),
        ("embedding_size", json!(500), "embedding_size: 500 is less than vocab_size 512"),
        ("mask_token_id", json!(512), "mask_token_id: 512 is not below vocab_size 512"),
        ("mask_token_id", json!([510, 511]), "mask_token_id: [510, 511] are several"),
        ("mask_token_id", Value::Null, "mask_token_id: the key is missing"),
        ("eos_token_id", json!([]), "eos_token_id: [] is not a token id"),
        ("eos_token_id", json!([508, 512]), "eos_token_id: 512 is not below vocab_size 512"),
        ("eos_token_id", json!("508"), "eos_token_id: \"508\" is not a token id"),
        ("weight_tying", json!("false"), "weight_tying: \"false\" is not true or false"),
        ("rope_theta", json!("big"), "rope_theta: \"big\""),
        ("rope_theta", json!(-1.0), "rope_theta: -1.0 is not a positive number"),
        ("multi_query_attention", json!(true), "multi_query_attention: true contradicts n_kv_heads 4"),
        ("n_layers", json!(1u64 << 40), "n_layers"),
        ("alibi_slopes_v2", json!(1), "alibi_slopes_v2: unknown key (value 1)"),
        ("tie_word_embeddings", json!(true), "tie_word_embeddings: true contradicts weight_tying false"),
        ("hidden_size", json!(128), "hidden_size: 128 contradicts d_model 64"),
        ("rope_scaling", json!({"type": "linear", "factor": 2.0}), "rope_scaling: "),
        ("rope_parameters", json!({"rope_type": "default", "rope_theta": 1.0}), "rope_parameters: "),
        ("partial_rotary_factor", json!(0.5), "partial_rotary_factor: 0.5"),
        ("pruned_heads", json!({"1": [0]}), "pruned_heads"),
        ("quantization_config", json!({"quant_method": "bitsandbytes"}), "quantization_config: "),
    ] {
        let error = told(&with(json!({ key: value })).unwrap_err());
        assert!(error.contains(message), "{error:?} lacks {message:?}");
    }
}

#[test]
fn null_is_absent_and_says_nothing() {
    for key in ["rope_scaling", "sliding_window", "quantization_config", "a_key_that_nobody_knows", "alibi"] {
        assert_eq!(with(json!({ key: null })).unwrap(), original(), "{key}");
    }
    for key in ["n_kv_heads", "embedding_size", "rms_norm_eps", "rope_full_precision", "bias_for_layer_norm"] {
        assert_eq!(with(json!({ key: null })).unwrap(), original(), "{key}");
        assert_eq!(without(key).unwrap(), original(), "{key}");
    }
    let mlp = with(json!({ "mlp_hidden_size": null, "mlp_ratio": null })).unwrap();
    assert_eq!((mlp.intermediate_size, mlp.parameters()), (256, original().parameters() + 3 * 3 * 64 * 96));
}

#[test]
fn absent_is_what_the_published_class_has() {
    for (key, value) in [
        ("rope_theta", json!(10_000.0)),
        ("weight_tying", json!(true)),
        ("max_sequence_length", json!(1024)),
        ("n_layers", json!(12)),
        ("rms_norm_eps", json!(1e-5)),
        ("include_bias", json!(false)),
    ] {
        assert_eq!(without(key).unwrap(), with(json!({ key: value })).unwrap(), "{key}");
    }
    let config = with(json!({ "multi_query_attention": true, "n_kv_heads": null })).unwrap();
    assert_eq!(config, with(json!({ "n_kv_heads": 1 })).unwrap());
    for (key, absent) in [
        ("rope", "false"),
        ("block_type", "\"sequential\""),
        ("activation_type", "\"swiglu\""),
        ("layer_norm_type", "\"default\""),
    ] {
        for error in [without(key).unwrap_err(), with(json!({ key: null })).unwrap_err()] {
            let expected = format!("{key}: the key is missing, which LLaDA's configuration class reads as {absent}");
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }
    let biased = with(json!({ "include_bias": true, "bias_for_layer_norm": null })).unwrap_err().to_string();
    assert!(biased.contains("bias_for_layer_norm"), "{biased}");
}

#[test]
fn what_says_what_is_true_anyway_is_read() {
    for keys in [
        json!({ "tie_word_embeddings": false }),
        json!({ "hidden_size": 64, "num_hidden_layers": 3.0, "num_attention_heads": 4, "num_key_value_heads": 4 }),
        json!({ "rope_scaling": { "type": "default" }, "hidden_act": "silu", "partial_rotary_factor": 1.0 }),
        json!({ "rope_scaling": { "rope_type": "linear", "factor": 1.0 } }),
        json!({ "rope_parameters": { "rope_type": "default", "rope_theta": 500_000 } }),
        json!({ "id2label": { "0": "LABEL_0" }, "_attn_implementation_autoset": true, "unsloth_version": "1" }),
        json!({ "d_model": 64.0, "n_layers": 3.0, "mask_token_id": 510.0, "rope_theta": 500_000 }),
        json!({ "mlp_ratio": "unread beside mlp_hidden_size", "max_position_embeddings": 8192, "max_length": 20 }),
        json!({ "eos_token_id": [508] }),
    ] {
        assert_eq!(with(keys.clone()).unwrap(), original(), "{keys}");
    }
}

#[test]
fn keys_without_effect_are_told() {
    let folder = copy(NAME);
    set(folder.path(), json!({ "id2label": {}, "unsloth_version": "1", "rope_scaling": null }));
    let without_effect = ModelConfig::inspect(folder.path()).without_effect;
    for key in ["id2label", "unsloth_version", "rope_scaling", "init_std", "mlp_ratio"] {
        assert!(without_effect.contains(&key.to_owned()), "{without_effect:?} lacks {key}");
    }
    for key in ["d_model", "rope", "weight_tying", "eos_token_id"] {
        assert!(!without_effect.contains(&key.to_owned()), "{without_effect:?} has {key}");
    }
}

#[test]
fn several_ends_are_kept_and_saved() {
    let config = with(json!({ "eos_token_id": [508, 7, 9] })).unwrap();
    assert_eq!((config.eos_token_id, config.other_eos_token_ids.as_slice()), (508, &[7, 9][..]));
    let folder = tempfile::tempdir().unwrap();
    TrainableTransformer::new(config.clone(), 0, Device::Cpu, Dtype::F32)
        .unwrap()
        .save(folder.path(), Dtype::F32)
        .unwrap();
    assert_eq!(ModelConfig::load(folder.path()).unwrap(), config);
}

#[test]
fn a_byte_order_mark_is_nothing() {
    let folder = copy(NAME);
    for file in ["config.json", "model.safetensors.index.json"] {
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("\u{feff}{text}")).unwrap();
    }
    assert_eq!(Transformer::load(folder.path(), Device::Cpu, Dtype::F32).unwrap().config(), &original());
}

#[test]
fn everything_that_is_wrong_is_told() {
    let folder = copy(NAME);
    set(
        folder.path(),
        json!({ "alibi": true, "mystery": 1, "rope_theta": "x", "mask_token_id": null, "hidden_size": 1 }),
    );
    let reading = ModelConfig::inspect(folder.path());
    let problems: Vec<String> = reading.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 5, "{problems:?}");
    for key in ["alibi", "mystery", "rope_theta", "mask_token_id", "hidden_size"] {
        assert!(problems.iter().any(|problem| problem.starts_with(&format!("config.json: {key}: "))), "{problems:?}");
    }
    // None of them hides the shape.
    let config = reading.config.unwrap();
    assert!(Weights::open(folder.path()).unwrap().check(&config).is_empty());
    set(folder.path(), json!({ "n_layers": "x" }));
    let reading = ModelConfig::inspect(folder.path());
    assert!(reading.config.is_none());
    assert!(reading.problems.iter().any(|problem| problem.to_string().starts_with("config.json: n_layers: ")));
    fs::write(folder.path().join("config.json"), "{").unwrap();
    refuses(folder.path(), &["config.json", "EOF"]);
}

#[test]
fn other_architectures_are_named_before_any_key_is_asked_for() {
    for (config, name) in [
        (
            json!({ "architectures": ["LLaDAVLForMaskedLM"], "model_type": "llada", "hidden_size": 64 }),
            "LLaDAVLForMaskedLM",
        ),
        (json!({ "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe" }), "Qwen3MoeForCausalLM"),
        (json!({ "model_type": "llada_image", "d_model": "x" }), "\"llada_image\""),
        (json!({ "architectures": null, "model_type": "qwen3" }), "\"qwen3\""),
    ] {
        let folder = copy(NAME);
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let reading = ModelConfig::inspect(folder.path());
        assert!(reading.config.is_none() && reading.problems.len() == 1);
        refuses(folder.path(), &[name, "which is not read\nhint: architectures that are read: LLaDAModelLM (LLaDA-8B"]);
    }
    for keys in [json!({ "architectures": null }), json!({ "architectures": [] }), json!({ "model_type": null })] {
        assert_eq!(with(keys).unwrap(), original());
    }
}

#[test]
fn what_a_config_claims_is_made_only_if_the_files_hold_it() {
    for (keys, part) in [
        (json!({ "n_layers": 250_000_000 }), "n_layers: 250000000 layers cannot be in 30 tensors"),
        (json!({ "mlp_hidden_size": 250_000_000 }), "[250000000, 64]"),
        (json!({ "embedding_size": 250_000_000, "vocab_size": 250_000_000 }), "[250000000, 64]"),
        (json!({ "d_model": 250_000_000, "n_heads": 1_000_000, "n_kv_heads": 1_000_000 }), "250000000]"),
    ] {
        let folder = copy(NAME);
        set(folder.path(), keys);
        refuses(folder.path(), &[part]);
        TrainableTransformer::load(folder.path(), Device::Cpu, Dtype::F32).unwrap_err();
        assert!(ModelConfig::load(folder.path()).unwrap().parameters() > 1 << 32);
    }
    let folder = copy(NAME);
    set(folder.path(), json!({ "max_sequence_length": 250_000_000 }));
    Transformer::load(folder.path(), Device::Cpu, Dtype::F32).unwrap();
}

#[test]
fn the_size_of_a_model_is_that_of_its_tensors() {
    let config = original();
    assert_eq!(config.parameters(), 207_296);
    let tensors = llada_model::expected_tensors(&config);
    assert_eq!(config.parameters(), tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>());
    assert_eq!(Weights::open(&fixture(NAME)).unwrap().list().count(), tensors.len());
}
