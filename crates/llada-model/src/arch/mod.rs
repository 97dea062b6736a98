//! The families of mask predictors, one file each: how a family's config is read, and under which names its weights are
//! stored. Everything else is the same code for all of them.
//!
//! `architectures` in `config.json` tells the families apart. `model_type` alone does not: LLaDA-MoE says "llada" there
//! too.

pub(crate) mod llada;

use std::path::Path;

use serde_json::{Map, Value};

use crate::{
    ModelConfig, ModelError,
    config::Keys,
    files,
    weights::role::{Module, Role},
};

/// A family of mask predictors: the checkpoints that one published configuration and modelling class reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// LLaDA-8B and LLaDA-1.5 (`LLaDAModelLM`, arXiv 2502.09992).
    Llada,
}

/// The differences of a family in configuration and names.
pub(crate) trait Architecture: Sync {
    /// Reads the config out of `keys`, where problems are noted; none where the shapes of the tensors cannot be told.
    fn read(&self, keys: &mut Keys) -> Option<ModelConfig>;

    /// Where the weight of a role is stored.
    fn module(&self, config: &ModelConfig, role: Role) -> Module;

    /// The keys of `config.json` that [`read`](Self::read) would make `config` of.
    fn keys(&self, config: &ModelConfig) -> Map<String, Value>;

    /// [`keys`](Self::keys), and all others that upstream's readers expect.
    fn complete_keys(&self, config: &ModelConfig) -> Map<String, Value>;
}

/// Each family with the names in `architectures` that it goes by, and checkpoints of it.
const FAMILIES: [(Family, &[&str], &str); 1] = [(Family::Llada, &["LLaDAModelLM"], "LLaDA-8B, LLaDA-1.5")];

impl Family {
    pub(crate) fn architecture(self) -> &'static dyn Architecture {
        match self {
            Self::Llada => &llada::Llada,
        }
    }

    /// The family of a `config.json`.
    fn of(keys: &Map<String, Value>) -> Result<Self, ModelError> {
        let unknown = |found: String| {
            let known = FAMILIES.map(|(_, names, checkpoints)| format!("{} ({checkpoints})", names[0])).join(", ");
            Err(ModelError::Architecture { found, read: known })
        };
        let architectures = keys.get("architectures").and_then(Value::as_array);
        let named: Vec<&str> = architectures.into_iter().flatten().filter_map(Value::as_str).collect();
        if !named.is_empty() {
            let is_named = |names: &[&str]| named.iter().any(|name| names.contains(name));
            return match FAMILIES.iter().find(|(_, names, _)| is_named(names)) {
                Some((family, ..)) => Ok(*family),
                None => unknown(named.join(", ")),
            };
        }
        // LLaDA-MoE's config where it was saved without `architectures`.
        if keys.get("num_experts").is_some_and(|experts| !experts.is_null()) {
            return unknown("a mixture of experts (num_experts)".to_owned());
        }
        match keys.get("model_type").and_then(Value::as_str) {
            None | Some("llada") => Ok(Self::Llada),
            Some(model_type) => unknown(format!("that of model_type {model_type:?}")),
        }
    }
}

/// The family of the checkpoint in `folder`, and the keys of its config.
pub(crate) fn config_keys(folder: &Path) -> Result<(Family, Map<String, Value>), ModelError> {
    let keys = files::read_json(&folder.join("config.json"))?;
    Ok((Family::of(&keys)?, keys))
}
