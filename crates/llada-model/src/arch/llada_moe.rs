//! LLaDA-MoE-7B-A1B (`LLaDAMoEModelLM`): softmax routing over small experts in some or all blocks.
//!
//! Source: `modeling_lladamoe.py` and `configuration_lladamoe.py` of the published checkpoints. The class stores
//! `norm_topk_prob` and its block ignores it; here it is honoured. Where there is an expert bias it moves the choice and
//! stays in the weights, as there.

use serde_json::{Map, Value, json};

use super::{
    Architecture, Family, hf,
    special_ids::{self, Conventional},
};
use crate::{
    ModelConfig, MoeConfig, MoeLayers, Router, Scoring,
    config::{Biases, Keys, Rules},
    weights::role::{Module, Role},
};

pub(super) struct LladaMoe;

/// Keys that the class stores and its forward does not read.
const INERT: &[&str] = &["moe_router_score_function", "routed_scaling_factor", "router_num_group", "router_topk_group"];

impl Architecture for LladaMoe {
    fn read(&self, keys: &mut Keys) -> Option<ModelConfig> {
        let mut config = hf::read(Family::LladaMoe, keys);
        let attention_bias = keys.flag("attention_bias").unwrap_or(false);
        config.biases = Biases { qkv: attention_bias, attention_out: attention_bias, ..Biases::default() };
        config.qk_norm = keys.flag("qk_layernorm").unwrap_or(false);
        config.clip_qkv = keys.positive("clip_qkv");
        config.rotary_dim = hf::rotary_dim(&config, keys.positive("partial_rotary_factor"));
        let moe = read_moe(keys, config.num_hidden_layers);
        let all_sparse = moe.layers.count(config.num_hidden_layers) == config.num_hidden_layers;
        let dense = if all_sparse { keys.size("dense_intermediate_size") } else { None };
        config.intermediate_size = match dense {
            Some(size) => size,
            None if all_sparse => 1,
            None => keys.required_size("dense_intermediate_size"),
        };
        config.moe = Some(moe);
        if keys.problems.is_empty() {
            hf::check_shape(&config, keys);
        }
        let has_shape = keys.problems.is_empty();
        special_ids::read(keys, &mut config, Conventional { mask: 156_895, eos: 156_892 });
        _ = keys.word("model_type", &[("llada", ())]);
        let rules = Rules::new("LLaDA-MoE", self.keys(&config), &config, hf::foreign());
        keys.finish(&Rules { inert: INERT, ..rules });
        has_shape.then_some(config)
    }

    fn module(&self, _: &ModelConfig, role: Role) -> Module {
        Module::whole(hf::module(role))
    }

    fn keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let mut keys = hf::keys(config);
        let Some(moe) = &config.moe else { return keys };
        let own = json!({
            "attention_bias": config.biases.qkv, "qk_layernorm": config.qk_norm, "clip_qkv": config.clip_qkv,
            "partial_rotary_factor": config.rotary_dim as f64 / config.head_dim as f64,
            "dense_intermediate_size": config.intermediate_size, "num_experts": moe.num_experts,
            "num_experts_per_tok": moe.num_experts_per_tok, "expert_intermediate_size": moe.expert_intermediate_size,
            "shared_expert_intermediate_size": moe.shared_expert_intermediate_size,
            "moe_router_enable_expert_bias": moe.router.has_expert_bias, "norm_topk_prob": moe.router.norm_topk_prob,
            "router_aux_loss_coef": moe.router_aux_loss_coef,
        });
        keys.extend(own.as_object().cloned().unwrap_or_default());
        if let MoeLayers::Listed(layers) = &moe.layers {
            let layers: Vec<u8> = layers.iter().map(|&has_experts| u8::from(has_experts)).collect();
            keys.insert("moe_layer_freq".to_owned(), json!(layers));
        }
        keys
    }

    fn complete_keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let mut keys = self.keys(config);
        keys.insert("architectures".to_owned(), json!(["LLaDAMoEModelLM"]));
        keys.insert("model_type".to_owned(), json!("llada"));
        keys.insert("hidden_act".to_owned(), json!("silu"));
        // The published class wants the list, this crate takes its absence for experts everywhere.
        keys.entry("moe_layer_freq").or_insert_with(|| json!(vec![1; config.num_hidden_layers]));
        keys.insert("moe_router_score_function".to_owned(), json!("softmax"));
        keys.insert("pad_token_id".to_owned(), json!(config.eos_token_id));
        keys
    }
}

fn read_moe(keys: &mut Keys, num_hidden_layers: usize) -> MoeConfig {
    let layers = match keys.flags("moe_layer_freq") {
        None => MoeLayers::From(0),
        Some(layers) => {
            if layers.len() != num_hidden_layers {
                let message = format!("{} entries for num_hidden_layers {num_hidden_layers}", layers.len());
                keys.refuse("moe_layer_freq", message);
            }
            MoeLayers::Listed(layers)
        }
    };
    MoeConfig {
        num_experts: keys.required_size("num_experts"),
        num_experts_per_tok: keys.required_size("num_experts_per_tok"),
        expert_intermediate_size: keys.required_size("expert_intermediate_size"),
        shared_expert_intermediate_size: keys.size("shared_expert_intermediate_size"),
        layers,
        router: Router {
            scoring: Scoring::Softmax,
            has_expert_bias: keys.flag("moe_router_enable_expert_bias").unwrap_or(false),
            bias_in_weights: true,
            groups: None,
            norm_topk_prob: keys.flag("norm_topk_prob").unwrap_or(false),
            routed_scaling_factor: 1.0,
            in_f32: false,
        },
        router_aux_loss_coef: keys.coefficient("router_aux_loss_coef"),
    }
}
