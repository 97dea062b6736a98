//! The file `adapter_config.json`: peft's keys, each of which is honoured, without effect, or refused by its name.

use std::path::Path;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::config::{LoraConfig, PatternMap};
use crate::{
    ModelError,
    files::{read_text, write_json},
};

/// The name of the file.
pub(super) const FILE: &str = "adapter_config.json";

/// The version of peft whose keys these are.
const PEFT_VERSION: &str = "0.21.2";

/// Keys that say nothing about what an adapter computes.
const INERT: [&str; 8] = [
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "megatron_core",
    "peft_version",
    // The size of groups that `use_qalora` alone reads.
    "qalora_group_size",
    "revision",
    "task_type",
];

/// The initialisations that leave the weights of the model as they are. Others (PiSSA, OLoRA, CorDA, LoftQ) replace
/// them, and an adapter made so belongs to the replaced weights.
const INITIALISATIONS: [&str; 4] = ["eva", "gaussian", "lora_ga", "orthogonal"];

/// The patterns in the order of the file, which a map of the keys does not keep.
#[derive(Deserialize)]
struct Ordered {
    rank_pattern: Option<PatternMap<usize>>,
    alpha_pattern: Option<PatternMap<f64>>,
}

/// Reads the settings and the name of the base model.
pub(super) fn read(path: &Path) -> Result<(LoraConfig, Option<String>), ModelError> {
    let text = read_text(path)?;
    let keys: Map<String, Value> = serde_json::from_str(&text).map_err(|e| ModelError::file(path, e))?;
    let mut keys = Keys { path, left: keys };
    match keys.take::<String>("peft_type")?.as_deref() {
        Some("LORA") => {}
        Some(other) => return Err(keys.refusal("peft_type", format!("{other:?} is not supported, \"LORA\" alone is"))),
        None => return Err(keys.refusal("peft_type", "the key is missing")),
    }
    let default = LoraConfig::default();
    let mut config = LoraConfig {
        r: keys.take("r")?.unwrap_or(default.r),
        lora_alpha: keys.take("lora_alpha")?.unwrap_or(default.lora_alpha),
        lora_dropout: keys.take("lora_dropout")?.unwrap_or(default.lora_dropout),
        use_rslora: keys.take("use_rslora")?.unwrap_or(default.use_rslora),
        target_modules: keys.take("target_modules")?,
        exclude_modules: keys.take("exclude_modules")?,
        modules_to_save: keys.take("modules_to_save")?.unwrap_or_default(),
        layers_to_transform: keys.take("layers_to_transform")?,
        layers_pattern: keys.take("layers_pattern")?,
        rank_pattern: keys.take("rank_pattern")?.unwrap_or_default(),
        alpha_pattern: keys.take("alpha_pattern")?.unwrap_or_default(),
    };
    if config.target_modules.is_none() {
        return Err(keys.refusal("target_modules", "the key is missing"));
    }
    let base_model = keys.take::<String>("base_model_name_or_path")?.filter(|name| !name.is_empty());
    keys.finish()?;
    let ordered: Ordered = serde_json::from_str(&text).map_err(|e| ModelError::file(path, e))?;
    config.rank_pattern = ordered.rank_pattern.unwrap_or_default();
    config.alpha_pattern = ordered.alpha_pattern.unwrap_or_default();
    config.check().map_err(|error| ModelError::file(path, error))?;
    Ok((config, base_model))
}

/// The keys that have not been read yet.
struct Keys<'a> {
    path: &'a Path,
    left: Map<String, Value>,
}

impl Keys<'_> {
    fn refusal(&self, key: &str, message: impl std::fmt::Display) -> ModelError {
        ModelError::file(self.path, format!("{key}: {message}"))
    }

    /// Takes the value of a key, which null leaves out.
    fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, ModelError> {
        match self.left.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value).map(Some).map_err(|error| self.refusal(key, error)),
        }
    }

    /// Refuses the keys that nobody has read and that change what an adapter computes.
    fn finish(self) -> Result<(), ModelError> {
        for (key, value) in &self.left {
            if INERT.contains(&key.as_str()) || is_off(key, value) {
                continue;
            }
            return Err(self.refusal(key, format!("{value} is not supported")));
        }
        Ok(())
    }
}

/// Whether a key of this value switches nothing on. So keys of later versions of peft do no harm where they are unused.
fn is_off(key: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => key == "init_lora_weights",
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(word) => match key {
            "bias" => word == "none",
            "init_lora_weights" => INITIALISATIONS.contains(&word.as_str()),
            _ => false,
        },
        Value::Number(_) => false,
    }
}

/// Writes the settings with all keys that readers of the format expect.
pub(super) fn write(path: &Path, config: &LoraConfig, base_model: Option<&str>) -> Result<(), ModelError> {
    let patterns = |value: serde_json::Result<Value>| value.map_err(|e| ModelError::file(path, e));
    let saved = if config.modules_to_save.is_empty() { Value::Null } else { json!(config.modules_to_save) };
    let keys = json!({
        "alpha_pattern": patterns(serde_json::to_value(&config.alpha_pattern))?,
        "auto_mapping": null,
        "base_model_name_or_path": base_model,
        "bias": "none",
        "exclude_modules": config.exclude_modules,
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layer_replication": null,
        "layers_pattern": config.layers_pattern,
        "layers_to_transform": config.layers_to_transform,
        "lora_alpha": number(config.lora_alpha),
        "lora_bias": false,
        "lora_dropout": config.lora_dropout,
        "modules_to_save": saved,
        "peft_type": "LORA",
        "peft_version": PEFT_VERSION,
        "r": config.r,
        "rank_pattern": patterns(serde_json::to_value(&config.rank_pattern))?,
        "target_modules": config.target_modules,
        "task_type": null,
        "use_dora": false,
        "use_rslora": config.use_rslora,
    });
    write_json(path, &keys)
}

/// A number as an integer where it is one, as peft writes it.
fn number(value: f64) -> Value {
    let whole = value as i64;
    if whole as f64 == value { json!(whole) } else { json!(value) }
}
