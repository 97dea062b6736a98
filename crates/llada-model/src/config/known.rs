//! The keys of `config.json` beside those that make up a [`LladaConfig`](super::LladaConfig): what has one value in
//! LLaDA, what other classes call LLaDA's keys, and what changes nothing.

use serde_json::{Value, json};

use super::architecture::MODEL_TYPE;

/// A key that LLaDA has one value for: any other would be another model.
pub(super) struct Fixed {
    pub(super) key: &'static str,
    /// The only value that is read.
    pub(super) value: Value,
    /// What the published configuration class takes where the key is absent.
    pub(super) absent: Value,
}

/// The keys of the published configuration class that choose the architecture.
///
/// Without `bias_for_layer_norm` the norms have biases if the linear layers do (`include_bias`).
pub(super) fn fixed(include_bias: bool) -> [Fixed; 12] {
    let fixed = |key, value: Value, absent| Fixed { key, value, absent };
    [
        fixed("model_type", json!(MODEL_TYPE), json!(MODEL_TYPE)),
        fixed("block_type", json!("llama"), json!("sequential")),
        fixed("block_group_size", json!(1), json!(1)),
        fixed("activation_type", json!("silu"), json!("swiglu")),
        fixed("layer_norm_type", json!("rms"), json!("default")),
        fixed("layer_norm_with_affine", json!(true), json!(true)),
        fixed("bias_for_layer_norm", json!(false), json!(include_bias)),
        fixed("rope", json!(true), json!(false)),
        fixed("alibi", json!(false), json!(false)),
        fixed("attention_layer_norm", json!(false), json!(false)),
        fixed("input_emb_norm", json!(false), json!(false)),
        fixed("scale_logits", json!(false), json!(false)),
    ]
}

/// Keys that other classes have and LLaDA's does not, with the value that is true of LLaDA.
pub(super) fn foreign() -> [(&'static str, Value); 9] {
    [
        ("hidden_act", json!("silu")),
        ("mlp_bias", json!(false)),
        ("qk_layernorm", json!(false)),
        ("use_qk_norm", json!(false)),
        ("partial_rotary_factor", json!(1)),
        ("use_sliding_window", json!(false)),
        ("is_encoder_decoder", json!(false)),
        ("add_cross_attention", json!(false)),
        ("pruned_heads", json!({})),
    ]
}

/// Other classes' names for LLaDA's keys.
pub(super) const SYNONYMS: [(&str, &str); 8] = [
    ("hidden_size", "d_model"),
    ("num_hidden_layers", "n_layers"),
    ("num_attention_heads", "n_heads"),
    ("num_key_value_heads", "n_kv_heads"),
    ("intermediate_size", "mlp_hidden_size"),
    ("layer_norm_eps", "rms_norm_eps"),
    ("attention_bias", "include_qkv_bias"),
    ("tie_word_embeddings", "weight_tying"),
];

/// Whether `rope_scaling` or `rope_parameters` asks for what the model does anyway: the rotation by `rope_theta`.
pub(super) fn is_plain_rope(value: &Value, rope_theta: f64) -> bool {
    let Some(keys) = value.as_object() else { return false };
    keys.iter().all(|(key, value)| match key.as_str() {
        _ if value.is_null() => true,
        // A linear scaling divides positions by its factor.
        "type" | "rope_type" => value == "default" || value == "linear" && keys.contains_key("factor"),
        "factor" | "partial_rotary_factor" => value.as_f64() == Some(1.0),
        "rope_theta" => value.as_f64() == Some(rope_theta),
        _ => false,
    })
}

/// Whether no value of this key can change what the trained model computes.
pub(super) fn is_inert(key: &str) -> bool {
    // By Python's convention an attribute's own business: `_name_or_path`, `_attn_implementation_autoset`.
    key.starts_with('_') || [OF_LLADA, TRAINING, BOOKKEEPING, TOKENS, GENERATION].iter().any(|keys| keys.contains(&key))
}

/// Of LLaDA's configuration class.
const OF_LLADA: &[&str] = &[
    "alibi_bias_max",
    "attention_dropout",
    "attention_layer_norm_with_affine",
    "embedding_dropout",
    "flash_attention",
    "init_cutoff_factor",
    "init_device",
    "init_fn",
    "init_std",
    // Read where there is no `mlp_hidden_size`.
    "mlp_ratio",
    "precision",
    "residual_dropout",
    "use_cache",
];

/// Of other classes: what training alone reads, or the length that `max_sequence_length` settles.
const TRAINING: &[&str] = &[
    "attn_pdrop",
    "embd_pdrop",
    "gradient_checkpointing",
    "hidden_dropout",
    "initializer_range",
    "max_position_embeddings",
    "resid_pdrop",
];

/// What transformers, and tools around it, note about a model, its files and its labels.
const BOOKKEEPING: &[&str] = &[
    "architectures",
    "attn_implementation",
    "auto_map",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "custom_pipelines",
    "dtype",
    "finetuning_task",
    "id2label",
    "is_decoder",
    "keys_to_ignore_at_inference",
    "label2id",
    "name_or_path",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "problem_type",
    "return_dict",
    "return_dict_in_generate",
    "task_specific_params",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
];

/// The text side, which the tokenizer's own files describe.
const TOKENS: &[&str] = &[
    "bos_token_id",
    "cls_token_id",
    "decoder_start_token_id",
    "pad_token_id",
    "prefix",
    "sep_token_id",
    "tokenizer_class",
    "unk_token_id",
];

/// Settings of transformers' autoregressive `generate`, which LLaDA's sampler does not read.
const GENERATION: &[&str] = &[
    "bad_words_ids",
    "begin_suppress_tokens",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "remove_invalid_values",
    "repetition_penalty",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
];
