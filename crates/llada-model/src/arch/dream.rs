//! Dream-7B and its descendants DiffuCoder and Dream-Coder (`DreamModel`, arXiv 2508.15487): Qwen2's Transformer without
//! causal mask, still predicting the token after each position.
//!
//! Source: `modeling_dream.py` and `configuration_dream.py` of the published checkpoints. Queries, keys and values have
//! biases whatever the config says.

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

pub(super) struct Dream;

impl Architecture for Dream {
    fn read(&self, keys: &mut Keys) -> Option<ModelConfig> {
        let mut config = hf::read(Family::Dream, keys);
        config.intermediate_size = keys.required_size("intermediate_size");
        config.biases = Biases { qkv: true, ..Biases::default() };
        config.logit_shift = true;
        if keys.problems.is_empty() {
            hf::check_shape(&config, keys);
        }
        let has_shape = keys.problems.is_empty();
        special_ids::read(keys, &mut config, Conventional { mask: 151_666, eos: 151_643 });
        _ = keys.word("model_type", &[("Dream", ())]);
        let rules = Rules::new("Dream", self.keys(&config), &config, hf::foreign());
        // The published code attends without a window whatever these say.
        let inert = &["max_window_layers", "sliding_window", "use_sliding_window"];
        keys.finish(&Rules { inert, ..rules });
        has_shape.then_some(config)
    }

    fn module(&self, _: &ModelConfig, role: Role) -> Module {
        Module::whole(hf::module(role))
    }

    fn keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let mut keys = hf::keys(config);
        keys.insert("intermediate_size".to_owned(), json!(config.intermediate_size));
        keys
    }

    fn complete_keys(&self, config: &ModelConfig) -> Map<String, Value> {
        let mut keys = self.keys(config);
        keys.insert("architectures".to_owned(), json!(["DreamModel"]));
        keys.insert("model_type".to_owned(), json!("Dream"));
        keys.insert("hidden_act".to_owned(), json!("silu"));
        keys.insert("pad_token_id".to_owned(), json!(config.eos_token_id));
        keys
    }
}
