//! Which architecture a `config.json` is of, looked at before any key is asked for.
//!
//! `model_type` alone does not tell: LLaDA-MoE says "llada" there too.

use serde_json::{Map, Value};

/// The architectures that are read, by their names in `architectures`, and checkpoints of them.
const READ: [(&str, &str); 1] = [("LLaDAModelLM", "LLaDA-8B, LLaDA-1.5")];

/// What `model_type` is in a config of them.
pub(super) const MODEL_TYPE: &str = "llada";

/// The name of the architecture, if it is none that is read.
pub(super) fn foreign(keys: &Map<String, Value>) -> Option<String> {
    let names: Vec<&str> =
        keys.get("architectures").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if !names.is_empty() {
        let is_read = names.iter().any(|name| READ.iter().any(|(read, _)| read == name));
        return (!is_read).then(|| names.join(", "));
    }
    let model_type = keys.get("model_type").and_then(Value::as_str);
    if let Some(model_type) = model_type.filter(|&model_type| model_type != MODEL_TYPE) {
        return Some(format!("that of model_type {model_type:?}"));
    }
    // LLaDA-MoE's config where it was saved without `architectures`.
    let has_experts = keys.get("num_experts").is_some_and(|experts| !experts.is_null());
    has_experts.then(|| "a mixture of experts (num_experts)".to_owned())
}

/// Those that are read, for an error's hint.
pub(crate) fn read() -> String {
    READ.map(|(name, checkpoints)| format!("{name} ({checkpoints})")).join(", ")
}
