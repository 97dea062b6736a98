//! LLaDA-8B and LLaDA-1.5 (`LLaDAModelLM`): OLMo's configuration class and names.
//!
//! Source: `configuration_llada.py` and `modeling_llada.py` of the published checkpoints. Note the clash of names:
//! `transformer.ff_out` is the LM head, `blocks.N.ff_out` the MLP's down projection.

use serde_json::{Map, Value, json};

use super::{Architecture, Family};
use crate::{
    ModelConfig,
    config::{AttentionPattern, Biases, Fixed, Keys, LARGEST, Rules},
    weights::role::{BlockRole, Module, Projection, Role},
};

pub(crate) struct Llada;

impl Architecture for Llada {
    fn read(&self, keys: &mut Keys) -> Option<ModelConfig> {
        let mut config = read_shape(keys);
        let has_shape = keys.problems.is_empty();
        read_rest(&mut config, keys);
        let rules = Rules {
            family: "LLaDA",
            fixed: fixed(config.biases.mlp),
            foreign: foreign(),
            synonyms: &SYNONYMS,
            inert: INERT,
            // The values of other keys are compared with a shape only where it is known.
            own: if has_shape { self.keys(&config) } else { Map::new() },
            rope_theta: config.rope_theta,
            rotary_factor: 1.0,
        };
        keys.finish(&rules);
        has_shape.then_some(config)
    }

    fn module(&self, _: &ModelConfig, role: Role) -> Module {
        let name = match role {
            Role::Embedding => "wte".to_owned(),
            Role::Head => "ff_out".to_owned(),
            Role::FinalNorm => "ln_f".to_owned(),
            Role::Block(layer, role) => format!("blocks.{layer}.{}", name_in_block(role)),
        };
        Module::whole(format!("model.transformer.{name}"))
    }

    fn keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let mut keys = json!({
            "d_model": config.hidden_size, "n_layers": config.num_hidden_layers, "n_heads": config.num_attention_heads,
            "n_kv_heads": config.num_key_value_heads, "mlp_hidden_size": config.intermediate_size,
            "vocab_size": config.vocab_size, "embedding_size": config.embedding_size,
            "max_sequence_length": config.max_sequence_length, "rope_theta": config.rope_theta,
            "rope_full_precision": config.rope_full_precision, "rms_norm_eps": config.rms_norm_eps,
            "weight_tying": config.tie_word_embeddings, "include_bias": config.biases.mlp,
            "include_qkv_bias": config.biases.qkv && !config.biases.mlp, "mask_token_id": config.mask_token_id,
            "eos_token_id": config.eos_token_id,
        });
        if config.is_causal() {
            keys["is_causal"] = json!(true);
        }
        if !config.other_eos_token_ids.is_empty() {
            keys["other_eos_token_ids"] = json!(config.other_eos_token_ids);
        }
        keys.as_object().cloned().unwrap_or_default()
    }

    fn complete_keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let fixed = fixed(config.biases.mlp).into_iter().map(|Fixed { key, value, .. }| (key.to_owned(), value));
        let mut keys: Map<String, Value> = fixed.collect();
        keys.extend(self.keys(config));
        let inert = json!({
            "alibi_bias_max": 8.0, "architectures": ["LLaDAModelLM"], "attention_dropout": 0.0,
            "attention_layer_norm_with_affine": true, "embedding_dropout": 0.0, "flash_attention": false,
            "init_cutoff_factor": null, "init_device": "cpu", "init_fn": "mitchell", "init_std": 0.02, "mlp_ratio": 4,
            "multi_query_attention": null, "pad_token_id": config.eos_token_id, "precision": "amp_bf16",
            "residual_dropout": 0.0, "use_cache": false,
        });
        keys.extend(inert.as_object().cloned().unwrap_or_default());
        if let Some(Value::Array(mut ends)) = keys.remove("other_eos_token_ids") {
            ends.insert(0, config.eos_token_id.into());
            keys.insert("eos_token_id".to_owned(), ends.into());
        }
        keys
    }
}

/// The part of a module's name that follows its block's.
fn name_in_block(role: BlockRole) -> &'static str {
    match role {
        BlockRole::AttentionNorm => "attn_norm",
        BlockRole::Query => "q_proj",
        BlockRole::Key => "k_proj",
        BlockRole::Value => "v_proj",
        BlockRole::AttentionOut => "attn_out",
        BlockRole::FeedForwardNorm => "ff_norm",
        BlockRole::Mlp(Projection::Gate) => "ff_proj",
        BlockRole::Mlp(Projection::Up) => "up_proj",
        BlockRole::Mlp(Projection::Down) => "ff_out",
        BlockRole::QueryNorm
        | BlockRole::KeyNorm
        | BlockRole::Router
        | BlockRole::ExpertBias
        | BlockRole::Expert(..)
        | BlockRole::SharedExpert(_) => unreachable!("LLaDA's configs call for no such weight"),
    }
}

/// Reads the keys that settle which tensors there are, and their shapes. The rest has the values of a model without
/// further keys.
fn read_shape(keys: &mut Keys) -> ModelConfig {
    let d_model = keys.size("d_model").unwrap_or(768);
    let n_layers = keys.size("n_layers").unwrap_or(12);
    let n_heads = keys.size("n_heads").unwrap_or(12);
    let multi_query_attention = keys.flag("multi_query_attention");
    let default_kv_heads = if multi_query_attention == Some(true) { 1 } else { n_heads };
    let n_kv_heads = keys.size("n_kv_heads").unwrap_or(default_kv_heads);
    if let Some(flag) = multi_query_attention.filter(|_| n_kv_heads != default_kv_heads) {
        keys.refuse("multi_query_attention", format!("{flag} contradicts n_kv_heads {n_kv_heads}"));
    }
    let mlp_hidden_size = match keys.size("mlp_hidden_size") {
        Some(size) => size,
        None => keys.size("mlp_ratio").unwrap_or(4).saturating_mul(d_model),
    };
    let vocab_size = keys.size("vocab_size").unwrap_or(50_257);
    // Absent is 50304 there, GPT-2's vocabulary rounded up, which fits no other; null is this there too.
    let embedding_size = keys.size("embedding_size").unwrap_or(vocab_size);
    let weight_tying = keys.flag("weight_tying").unwrap_or(true);
    let include_bias = keys.flag("include_bias").unwrap_or(false);
    let include_qkv_bias = keys.flag("include_qkv_bias").unwrap_or(false);
    let is_quantized = keys.is_quantized();
    let head_dim = d_model / n_heads;
    if keys.problems.is_empty() {
        if !d_model.is_multiple_of(n_heads) {
            keys.refuse("n_heads", format!("{n_heads} does not divide d_model {d_model}"));
        } else if !head_dim.is_multiple_of(2) {
            keys.refuse("n_heads", format!("head width {head_dim} is odd, rotation needs pairs"));
        }
        if !n_heads.is_multiple_of(n_kv_heads) {
            keys.refuse("n_kv_heads", format!("{n_kv_heads} does not divide n_heads {n_heads}"));
        }
        if mlp_hidden_size > LARGEST {
            keys.refuse("mlp_ratio", format!("d_model times it, {mlp_hidden_size}, is more than {LARGEST}"));
        }
        if embedding_size < vocab_size {
            keys.refuse("embedding_size", format!("{embedding_size} is less than vocab_size {vocab_size}"));
        }
    }
    ModelConfig {
        family: Family::Llada,
        hidden_size: d_model,
        num_hidden_layers: n_layers,
        num_attention_heads: n_heads,
        num_key_value_heads: n_kv_heads,
        head_dim,
        intermediate_size: mlp_hidden_size,
        moe: None,
        vocab_size,
        embedding_size,
        padded_vocab_size: embedding_size,
        max_sequence_length: 1024,
        rope_theta: 10_000.0,
        rotary_dim: head_dim,
        rope_full_precision: true,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: weight_tying,
        biases: Biases {
            qkv: include_bias || include_qkv_bias,
            attention_out: include_bias,
            mlp: include_bias,
            head: include_bias,
        },
        qk_norm: false,
        clip_qkv: None,
        attention: AttentionPattern::Full,
        logit_shift: false,
        is_quantized,
        // GPT-2's end of the text for both, which is no mask: these two have to be given.
        mask_token_id: 50_256,
        eos_token_id: 50_256,
        other_eos_token_ids: Vec::new(),
    }
}

fn read_rest(config: &mut ModelConfig, keys: &mut Keys) {
    config.max_sequence_length = keys.size("max_sequence_length").unwrap_or(config.max_sequence_length);
    config.rope_theta = keys.positive("rope_theta").unwrap_or(config.rope_theta);
    config.rope_full_precision = keys.flag("rope_full_precision").unwrap_or(config.rope_full_precision);
    config.rms_norm_eps = keys.positive("rms_norm_eps").unwrap_or(config.rms_norm_eps);
    // A key of this crate's own: the autoregressive baseline that LLaDA is compared with.
    if keys.flag("is_causal") == Some(true) {
        config.attention = AttentionPattern::Causal;
    }
    let masks = required_ids(keys, "mask_token_id", config.vocab_size);
    config.mask_token_id = masks.first().copied().unwrap_or(config.mask_token_id);
    if masks.len() > 1 {
        keys.refuse("mask_token_id", format!("{masks:?} are several, LLaDA has one"));
    }
    let mut ends = required_ids(keys, "eos_token_id", config.vocab_size).into_iter();
    config.eos_token_id = ends.next().unwrap_or(config.eos_token_id);
    config.other_eos_token_ids = ends.collect();
}

fn required_ids(keys: &mut Keys, key: &str, vocab_size: usize) -> Vec<u32> {
    if !keys.has(key) {
        keys.refuse(key, "the key is missing");
    }
    keys.ids(key, vocab_size).unwrap_or_default()
}

/// The keys that have one value in LLaDA, with it.
pub(crate) fn fixed_keys() -> impl Iterator<Item = (String, Value)> {
    fixed(false).into_iter().map(|Fixed { key, value, .. }| (key.to_owned(), value))
}

/// The keys of the published configuration class that choose the architecture.
///
/// Without `bias_for_layer_norm` the norms have biases if the linear layers do (`include_bias`).
fn fixed(include_bias: bool) -> Vec<Fixed> {
    let fixed = |key, value: Value, absent| Fixed { key, value, absent };
    vec![
        fixed("model_type", json!("llada"), json!("llada")),
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
fn foreign() -> Vec<(&'static str, Value)> {
    vec![
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
const SYNONYMS: [(&str, &str); 8] = [
    ("hidden_size", "d_model"),
    ("num_hidden_layers", "n_layers"),
    ("num_attention_heads", "n_heads"),
    ("num_key_value_heads", "n_kv_heads"),
    ("intermediate_size", "mlp_hidden_size"),
    ("layer_norm_eps", "rms_norm_eps"),
    ("attention_bias", "include_qkv_bias"),
    ("tie_word_embeddings", "weight_tying"),
];

/// Keys of LLaDA's class that change nothing in a trained model.
const INERT: &[&str] = &[
    "alibi_bias_max",
    "attention_layer_norm_with_affine",
    "flash_attention",
    "init_cutoff_factor",
    "init_device",
    "init_fn",
    "init_std",
    // `max_sequence_length` settles the length.
    "max_position_embeddings",
    // Read where there is no `mlp_hidden_size`.
    "mlp_ratio",
    "precision",
];
