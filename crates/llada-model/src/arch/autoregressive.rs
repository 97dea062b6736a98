//! The autoregressive models that [`convert`](crate::convert) makes mask predictors of: Llama, Qwen2 and Qwen3 with their
//! causal mask, as transformers' classes `LlamaForCausalLM`, `Qwen2ForCausalLM` and `Qwen3ForCausalLM` read them.
//!
//! Source: `configuration_llama.py`, `configuration_qwen2.py` and `configuration_qwen3.py` of transformers.

use serde_json::{Map, Value, json};

use super::{Family, hf};
use crate::{
    ModelConfig, ModelError,
    config::{AttentionPattern, Biases, Fixed, Keys, Rules},
};

/// An architecture of autoregressive models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Autoregressive {
    Llama,
    Qwen2,
    Qwen3,
}

/// The config of an autoregressive model.
#[derive(Debug, Clone)]
pub(crate) struct AutoregressiveConfig {
    /// Its shape, in the family that it is converted to, with the biases that it has itself.
    pub(crate) shape: ModelConfig,
    /// The ids that end a text, the first of them first; there may be none.
    pub(crate) ends: Vec<u32>,
    /// The id that begins a text.
    pub(crate) bos_token_id: Option<u32>,
}

impl AutoregressiveConfig {
    /// Adds ids that end a text too, unless they are known or none of the vocabulary's.
    pub(crate) fn add_ends(&mut self, ends: impl IntoIterator<Item = u32>) {
        for end in ends {
            if (end as usize) < self.shape.vocab_size && !self.ends.contains(&end) {
                self.ends.push(end);
            }
        }
    }
}

impl Autoregressive {
    pub(crate) const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    /// Returns the name of the modelling class, as in `architectures`.
    fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    /// Returns `model_type`, which is also llama.cpp's name of the architecture.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// Returns the architecture of a `config.json`.
    pub(crate) fn of(keys: &Map<String, Value>) -> Result<Self, ModelError> {
        let named = keys.get("architectures").and_then(Value::as_array).and_then(|names| names.first());
        let found = named.or_else(|| keys.get("model_type")).and_then(Value::as_str).unwrap_or("not named");
        let architecture = Self::ALL.into_iter().find(|known| found == known.class() || found == known.name());
        architecture.ok_or_else(|| Self::unknown(found))
    }

    /// Returns the error for an architecture that is not converted.
    pub(crate) fn unknown(found: &str) -> ModelError {
        let read = Self::ALL.map(Self::class).join(", ");
        ModelError::Architecture { found: found.to_owned(), read }
    }

    /// Returns true if queries and keys are normed head by head.
    pub(crate) fn has_qk_norm(self) -> bool {
        self == Self::Qwen3
    }

    /// Reads the config out of `keys`, where problems are noted; none where the shapes of the tensors cannot be told.
    pub(crate) fn read(self, family: Family, keys: &mut Keys) -> Option<AutoregressiveConfig> {
        if self == Self::Qwen3 && !keys.has("head_dim") {
            keys.refuse("head_dim", "the key is missing");
        }
        let mut shape = hf::read(family, keys);
        shape.intermediate_size = keys.required_size("intermediate_size");
        shape.attention = AttentionPattern::Causal;
        shape.qk_norm = self.has_qk_norm();
        let attention_bias = self != Self::Qwen2 && keys.flag("attention_bias").unwrap_or(false);
        let mlp_bias = self == Self::Llama && keys.flag("mlp_bias").unwrap_or(false);
        let qkv = attention_bias || self == Self::Qwen2;
        shape.biases = Biases { qkv, attention_out: attention_bias, mlp: mlp_bias, head: false };
        if keys.problems.is_empty() {
            hf::check_shape(&shape, keys);
        }
        let has_shape = keys.problems.is_empty();
        let ends = keys.ids("eos_token_id", shape.vocab_size).unwrap_or_default();
        let bos_token_id = keys.ids("bos_token_id", shape.vocab_size).and_then(|ids| ids.first().copied());
        _ = keys.word("model_type", &[(self.name(), ())]);
        let mut rules = Rules::new(self.class(), Map::new(), &shape, hf::foreign());
        // A window hides what is far away, which a mask predictor would see.
        rules.fixed.push(Fixed { key: "use_sliding_window", value: json!(false), absent: json!(false) });
        rules.inert = &["layer_types", "max_window_layers", "pretraining_tp", "sliding_window"];
        keys.finish(&rules);
        has_shape.then_some(AutoregressiveConfig { shape, ends, bos_token_id })
    }
}
