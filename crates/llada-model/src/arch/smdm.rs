//! SMDM (`TransEncoder`, arXiv 2410.18514): the masked diffusion models of the scaling study, from 6 million to 1.1
//! billion parameters.
//!
//! Source: `lit_gpt/config.py` and `lit_gpt/diffmodel.py`. The released files are bare safetensors: where there is no
//! `lit_config.json`, the shapes of the tensors tell the config. The mask is the embedding's last row, and has none in
//! the head.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Architecture, Family};
use crate::{
    AttentionPattern, ModelConfig, ModelError, Weights,
    config::{Biases, Fixed, Keys, Rules},
    weights::role::{BlockRole, Module, Projection, Role},
};

pub(super) struct Smdm;

/// The file with the fields of lit-gpt's `Config`.
pub(super) const CONFIG: &str = "lit_config.json";

/// Id of the end of the text in TinyLlama's tokenizer, which these models use.
const EOS: u32 = 2;

impl Architecture for Smdm {
    fn read(&self, keys: &mut Keys) -> Option<ModelConfig> {
        let n_embd = keys.required_size("n_embd");
        let n_head = keys.required_size("n_head");
        let vocab_size = keys.required_size("vocab_size");
        let padding_multiple = keys.size("padding_multiple").unwrap_or(512);
        let padded = keys.size("padded_vocab_size").unwrap_or_else(|| vocab_size.next_multiple_of(padding_multiple));
        let rotary_percentage = keys.positive("rotary_percentage").unwrap_or(0.25);
        let n_layer = keys.required_size("n_layer");
        let n_query_groups = keys.size("n_query_groups").unwrap_or(n_head);
        let intermediate_size = keys.required_size("intermediate_size");
        let block_size = keys.required_size("block_size");
        let is_quantized = keys.is_quantized();
        if keys.problems.is_empty() {
            if !n_embd.is_multiple_of(n_head) {
                keys.refuse("n_head", format!("{n_head} does not divide n_embd {n_embd}"));
            }
            if !n_head.is_multiple_of(n_query_groups) {
                keys.refuse("n_query_groups", format!("{n_query_groups} does not divide n_head {n_head}"));
            }
            if padded < vocab_size {
                keys.refuse("padded_vocab_size", format!("{padded} is less than vocab_size {vocab_size}"));
            }
        }
        let head_dim = (n_embd / n_head).max(1);
        let rotary_dim = (head_dim as f64 * rotary_percentage) as usize;
        if keys.problems.is_empty() && (rotary_dim == 0 || !rotary_dim.is_multiple_of(2) || rotary_dim > head_dim) {
            let message = format!("{rotary_dim} of {head_dim} dimensions of a head cannot be rotated in pairs");
            keys.refuse("rotary_percentage", message);
        }
        let has_shape = keys.problems.is_empty();
        let config = ModelConfig {
            family: Family::Smdm,
            hidden_size: n_embd,
            num_hidden_layers: n_layer,
            num_attention_heads: n_head,
            num_key_value_heads: n_query_groups,
            head_dim,
            intermediate_size,
            moe: None,
            vocab_size,
            embedding_size: padded + 1,
            padded_vocab_size: padded,
            max_sequence_length: block_size,
            rope_theta: 10_000.0,
            rotary_dim,
            rope_full_precision: true,
            rms_norm_eps: keys.positive("norm_eps").unwrap_or(1e-5),
            tie_word_embeddings: false,
            biases: Biases::default(),
            qk_norm: false,
            clip_qkv: None,
            attention: AttentionPattern::Full,
            logit_shift: false,
            is_quantized,
            mask_token_id: padded as u32,
            eos_token_id: EOS.min(vocab_size as u32 - 1),
            other_eos_token_ids: Vec::new(),
        };
        _ = keys.word("_norm_class", &[("FusedRMSNorm", ()), ("RMSNorm", ())]);
        keys.finish(&Rules {
            family: "SMDM",
            fixed: fixed(),
            foreign: Vec::new(),
            synonyms: &[],
            inert: &["name", "org"],
            own: Map::new(),
            rope_theta: 10_000.0,
            rotary_factor: rotary_percentage,
        });
        has_shape.then_some(config)
    }

    fn module(&self, config: &ModelConfig, role: Role) -> Module {
        let Role::Block(layer, role) = role else {
            let name = match role {
                Role::Embedding => "transformer.wte",
                Role::Head => "lm_head",
                _ => "transformer.ln_f",
            };
            return Module::whole(name.to_owned());
        };
        let named = |name: &str| format!("transformer.h.{layer}.{name}");
        // The rows of each group of heads lie together: its queries, its key, its value.
        let per_group = config.num_attention_heads / config.num_key_value_heads;
        let fused = |first: usize, heads: usize| {
            let head_dim = config.head_dim;
            let group = (per_group + 2) * head_dim;
            let mut rows = Vec::with_capacity(config.num_key_value_heads);
            for start in (0..config.num_key_value_heads).map(|index| index * group + first * head_dim) {
                rows.push(start..start + heads * head_dim);
            }
            Module { name: named("attn.attn"), rows }
        };
        match role {
            BlockRole::Query => fused(0, per_group),
            BlockRole::Key => fused(per_group, 1),
            BlockRole::Value => fused(per_group + 1, 1),
            BlockRole::AttentionOut => Module::whole(named("attn.proj")),
            BlockRole::AttentionNorm => Module::whole(named("norm_1")),
            BlockRole::Mlp(Projection::Gate) => Module::whole(named("mlp.swiglu.w1")),
            BlockRole::Mlp(Projection::Up) => Module::whole(named("mlp.swiglu.w2")),
            BlockRole::Mlp(Projection::Down) => Module::whole(named("mlp.swiglu.w3")),
            _ => Module::whole(named("norm_2")),
        }
    }

    fn keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let keys = json!({
            "n_embd": config.hidden_size, "n_layer": config.num_hidden_layers, "n_head": config.num_attention_heads,
            "n_query_groups": config.num_key_value_heads, "intermediate_size": config.intermediate_size,
            "vocab_size": config.vocab_size, "padded_vocab_size": config.padded_vocab_size,
            "block_size": config.max_sequence_length, "norm_eps": config.rms_norm_eps,
            "rotary_percentage": config.rotary_dim as f64 / config.head_dim as f64,
        });
        keys.as_object().cloned().unwrap_or_default()
    }

    fn complete_keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let mut keys = self.keys(config);
        keys.extend(fixed().into_iter().map(|Fixed { key, value, .. }| (key.to_owned(), value)));
        keys.insert("_norm_class".to_owned(), json!("FusedRMSNorm"));
        keys.insert("architectures".to_owned(), json!(["TransEncoder"]));
        keys
    }
}

/// The fields of lit-gpt's `Config` that have one value in these models.
fn fixed() -> Vec<Fixed> {
    let fixed = |key, value: Value, absent| Fixed { key, value, absent };
    vec![
        fixed("_mlp_class", json!("LLaMAMLP"), json!("GptNeoxMLP")),
        fixed("bias", json!(false), json!(true)),
        fixed("condense_ratio", json!(1), json!(1)),
        fixed("parallel_residual", json!(false), json!(true)),
        fixed("shared_attention_norm", json!(false), json!(false)),
    ]
}

/// The config of a folder with bare safetensors, by the shapes of its tensors; none if they are not SMDM's.
///
/// The width of a head shows in no shape: it is 64 up to a width of 1024, 128 above, and 80 in the model of 75 million
/// parameters, as in the table of `lit_gpt/config.py`.
pub(super) fn keys_of_shapes(folder: &Path) -> Result<Option<Map<String, Value>>, ModelError> {
    let weights = Weights::open(folder)?;
    let shapes: Vec<(&str, Vec<usize>)> = weights.list().map(|(name, _, shape)| (name, shape)).collect();
    let shape_of = |wanted: &str| match shapes.iter().find(|(name, _)| *name == wanted) {
        Some((_, shape)) if shape.len() == 2 => Some([shape[0], shape[1]]),
        _ => None,
    };
    let head = shape_of("lm_head.weight");
    let gate = shape_of("transformer.h.0.mlp.swiglu.w1.weight");
    let (Some([padded_vocab_size, n_embd]), Some([intermediate_size, _])) = (head, gate) else { return Ok(None) };
    let head_size = match (n_embd, intermediate_size) {
        (640, 1600) => 80,
        (..=1024, _) => 64,
        _ => 128,
    };
    let n_layer = shapes.iter().filter(|(name, _)| name.ends_with(".mlp.swiglu.w1.weight")).count();
    let mut keys = json!({
        "n_embd": n_embd, "n_layer": n_layer, "n_head": n_embd / head_size, "intermediate_size": intermediate_size,
        "vocab_size": padded_vocab_size, "padded_vocab_size": padded_vocab_size, "block_size": 2048,
        "norm_eps": 1e-5, "rotary_percentage": 1.0, "_norm_class": "FusedRMSNorm",
    });
    for Fixed { key, value, .. } in fixed() {
        keys[key] = value;
    }
    Ok(keys.as_object().cloned())
}
