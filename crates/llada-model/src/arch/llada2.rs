//! LLaDA2.0 and 2.1 (`LLaDA2MoeModelLM`): block-causal attention over absolute positions, partial rotation, fused
//! projections, and sigmoid routing within the best groups of experts.
//!
//! Source: `modeling_llada2_moe.py` and `configuration_llada2_moe.py` of the published checkpoints. The length of a block
//! is the sampler's in upstream's code; 32 is its default. Weights of chosen experts are divided by their sum whatever
//! `norm_topk_prob` says there, so the key has to say so.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::{
    Architecture, Family, hf,
    special_ids::{self, Conventional},
};
use crate::{
    AttentionPattern, ModelConfig, MoeConfig, MoeLayers, Router, Scoring,
    config::{Biases, Fixed, Keys, Rules},
    weights::role::{BlockRole, Module, Role},
};

pub(super) struct Llada2;

/// Positions of a block where the sampler does not say.
const BLOCK_LENGTH: usize = 32;

/// Keys that the class stores and its forward does not read.
const INERT: &[&str] = &[
    "max_window_layers",
    "norm_head",
    "norm_softmax",
    // `partial_rotary_factor` settles it.
    "rotary_dim",
    "router_aux_loss_coef",
    "router_dtype",
    "sliding_window",
    "use_sliding_window",
];

impl Architecture for Llada2 {
    fn read(&self, keys: &mut Keys) -> Option<ModelConfig> {
        let mut config = hf::read(Family::Llada2, keys);
        config.intermediate_size = keys.required_size("intermediate_size");
        config.biases = Biases {
            qkv: keys.flag("use_qkv_bias").unwrap_or(false),
            attention_out: keys.flag("use_bias").unwrap_or(false),
            ..Biases::default()
        };
        config.qk_norm = keys.flag("use_qk_norm").unwrap_or(false);
        config.rotary_dim = hf::rotary_dim(&config, keys.positive("partial_rotary_factor"));
        config.attention = AttentionPattern::BlockCausal { block_length: BLOCK_LENGTH };
        config.moe = Some(read_moe(keys));
        if keys.problems.is_empty() {
            hf::check_shape(&config, keys);
        }
        let has_shape = keys.problems.is_empty();
        special_ids::read(keys, &mut config, Conventional { mask: 156_895, eos: 156_892 });
        let fixed = vec![
            Fixed { key: "norm_topk_prob", value: json!(true), absent: json!(true) },
            Fixed { key: "score_function", value: json!("sigmoid"), absent: json!("sigmoid") },
            Fixed { key: "use_rmsnorm", value: json!(true), absent: json!(true) },
        ];
        _ = keys.word("model_type", &[("llada2_moe", ()), ("llada21_moe", ())]);
        let mut rules = Rules::new("LLaDA2", self.keys(&config), &config, hf::foreign());
        rules.fixed.extend(fixed);
        keys.finish(&Rules { inert: INERT, ..rules });
        has_shape.then_some(config)
    }

    fn module(&self, config: &ModelConfig, role: Role) -> Module {
        let Role::Block(layer, role) = role else {
            let is_embedding = role == Role::Embedding;
            return Module::whole(if is_embedding { "model.word_embeddings".to_owned() } else { hf::module(role) });
        };
        let named = |name: &str| format!("model.layers.{layer}.{name}");
        let queries = config.num_attention_heads * config.head_dim;
        let keys = config.num_key_value_heads * config.head_dim;
        // All queries, then all keys, then all values.
        let fused = |start: usize, rows: usize| Module {
            name: named("attention.query_key_value"),
            rows: vec![Range { start, end: start + rows }],
        };
        match role {
            BlockRole::Query => fused(0, queries),
            BlockRole::Key => fused(queries, keys),
            BlockRole::Value => fused(queries + keys, keys),
            BlockRole::AttentionOut => Module::whole(named("attention.dense")),
            BlockRole::QueryNorm => Module::whole(named("attention.query_layernorm")),
            BlockRole::KeyNorm => Module::whole(named("attention.key_layernorm")),
            BlockRole::ExpertBias => Module::whole(named("mlp.gate")),
            BlockRole::SharedExpert(projection) => {
                Module::whole(named(&format!("mlp.shared_experts.{}", hf::name_of(projection))))
            }
            role => Module::whole(hf::module(Role::Block(layer, role))),
        }
    }

    fn keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let mut keys = hf::keys(config);
        let Some(moe) = &config.moe else { return keys };
        let first_dense = config.num_hidden_layers - moe.layers.count(config.num_hidden_layers);
        let (groups, kept) = moe.router.groups.unwrap_or((1, 1));
        let shared = moe.shared_expert_intermediate_size.unwrap_or(0) / moe.expert_intermediate_size;
        let own = json!({
            "intermediate_size": config.intermediate_size, "use_qkv_bias": config.biases.qkv,
            "use_bias": config.biases.attention_out, "use_qk_norm": config.qk_norm,
            "partial_rotary_factor": config.rotary_dim as f64 / config.head_dim as f64,
            "first_k_dense_replace": first_dense, "num_experts": moe.num_experts,
            "num_experts_per_tok": moe.num_experts_per_tok, "moe_intermediate_size": moe.expert_intermediate_size,
            "num_shared_experts": shared, "n_group": groups, "topk_group": kept,
            "moe_router_enable_expert_bias": moe.router.has_expert_bias,
            "routed_scaling_factor": moe.router.routed_scaling_factor,
        });
        keys.extend(own.as_object().cloned().unwrap_or_default());
        keys
    }

    fn complete_keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let mut keys = self.keys(config);
        let rest = json!({
            "architectures": ["LLaDA2MoeModelLM"], "model_type": "llada2_moe", "hidden_act": "silu",
            "norm_topk_prob": true, "score_function": "sigmoid", "use_rmsnorm": true, "router_dtype": "fp32",
            "rotary_dim": config.rotary_dim, "pad_token_id": config.eos_token_id,
        });
        keys.extend(rest.as_object().cloned().unwrap_or_default());
        keys
    }
}

fn read_moe(keys: &mut Keys) -> MoeConfig {
    let num_experts = keys.required_size("num_experts");
    let expert_intermediate_size = keys.required_size("moe_intermediate_size");
    let shared = keys.count("num_shared_experts").unwrap_or(0);
    let groups = keys.size("n_group").unwrap_or(1);
    let kept = keys.size("topk_group").unwrap_or(groups);
    MoeConfig {
        num_experts,
        num_experts_per_tok: keys.required_size("num_experts_per_tok"),
        expert_intermediate_size,
        shared_expert_intermediate_size: (shared > 0).then(|| shared.saturating_mul(expert_intermediate_size)),
        layers: MoeLayers::From(keys.count("first_k_dense_replace").unwrap_or(0)),
        router: Router {
            scoring: Scoring::Sigmoid,
            has_expert_bias: keys.flag("moe_router_enable_expert_bias").unwrap_or(false),
            bias_in_weights: false,
            groups: (groups > 1).then_some((groups, kept)),
            norm_topk_prob: true,
            routed_scaling_factor: keys.positive("routed_scaling_factor").unwrap_or(1.0),
            in_f32: true,
        },
        // Its experts are balanced by their biases.
        router_aux_loss_coef: None,
    }
}
