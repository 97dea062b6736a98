//! iLLaDA-8B (`ILLaDAForCausalLM`): a Llama-like model with grouped queries and, as published, a tied head.
//!
//! Source: `modeling_illada.py` of the release. Its configuration class was not seen: keys that it might give a default
//! have to be there.

use serde_json::{Map, Value, json};

use super::{
    Architecture, Family, hf,
    special_ids::{self, Conventional},
};
use crate::{
    ModelConfig,
    config::{Biases, Keys, Rules},
    weights::role::{Module, Role},
};

pub(super) struct Illada;

impl Architecture for Illada {
    fn read(&self, keys: &mut Keys) -> Option<ModelConfig> {
        let mut config = hf::read(Family::Illada, keys);
        config.intermediate_size = keys.required_size("intermediate_size");
        let attention_bias = keys.flag("attention_bias").unwrap_or(false);
        let mlp_bias = keys.flag("mlp_bias").unwrap_or(false);
        config.biases = Biases { qkv: attention_bias, attention_out: attention_bias, mlp: mlp_bias, head: false };
        if keys.has("layer_norm_eps") {
            keys.refuse("layer_norm_eps", "norms of the kind LayerNorm are not supported, RMSNorm alone is");
        }
        if keys.problems.is_empty() {
            hf::check_shape(&config, keys);
        }
        let has_shape = keys.problems.is_empty();
        special_ids::read(keys, &mut config, Conventional { mask: 5, eos: 2 });
        _ = keys.word("model_type", &[("illada", ())]);
        keys.finish(&Rules::new("iLLaDA", self.keys(&config), &config, hf::foreign()));
        has_shape.then_some(config)
    }

    fn module(&self, _: &ModelConfig, role: Role) -> Module {
        Module::whole(hf::module(role))
    }

    fn keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let mut keys = hf::keys(config);
        keys.insert("intermediate_size".to_owned(), json!(config.intermediate_size));
        keys.insert("attention_bias".to_owned(), json!(config.biases.qkv));
        keys.insert("mlp_bias".to_owned(), json!(config.biases.mlp));
        keys
    }

    fn complete_keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let mut keys = self.keys(config);
        keys.insert("architectures".to_owned(), json!(["ILLaDAForCausalLM"]));
        keys.insert("model_type".to_owned(), json!("illada"));
        keys.insert("hidden_act".to_owned(), json!("silu"));
        keys.insert("layer_norm_eps".to_owned(), Value::Null);
        keys
    }
}
