//! The keys that change nothing in any family: what training, transformers and other tools note in a `config.json`.

use serde_json::Value;

/// A key that has one value in a family: any other would be another model.
pub(crate) struct Fixed {
    pub(crate) key: &'static str,
    /// The only value that is read.
    pub(crate) value: Value,
    /// What the published configuration class takes where the key is absent.
    pub(crate) absent: Value,
}

/// Whether `rope_scaling` or `rope_parameters` asks for what the model does anyway: the rotation by `rope_theta`.
pub(super) fn is_plain_rope(value: &Value, rope_theta: f64, rotary_factor: f64) -> bool {
    let Some(keys) = value.as_object() else { return false };
    keys.iter().all(|(key, value)| match key.as_str() {
        _ if value.is_null() => true,
        // A linear scaling divides positions by its factor.
        "type" | "rope_type" => value == "default" || value == "linear" && keys.contains_key("factor"),
        "factor" => value.as_f64() == Some(1.0),
        "partial_rotary_factor" => value.as_f64() == Some(rotary_factor),
        "rope_theta" => value.as_f64() == Some(rope_theta),
        _ => false,
    })
}

/// Whether no value of this key can change what the trained model computes.
pub(super) fn is_inert(key: &str) -> bool {
    // By Python's convention an attribute's own business: `_name_or_path`, `_attn_implementation_autoset`.
    key.starts_with('_') || [TRAINING, BOOKKEEPING, TOKENS, GENERATION].iter().any(|keys| keys.contains(&key))
}

/// What training alone reads.
const TRAINING: &[&str] = &[
    "attention_dropout",
    "attn_pdrop",
    "embd_pdrop",
    "embedding_dropout",
    "gradient_checkpointing",
    "hidden_dropout",
    "initializer_range",
    "output_dropout",
    "output_router_logits",
    "resid_pdrop",
    "residual_dropout",
    "router_z_loss_coef",
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
    "use_cache",
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
