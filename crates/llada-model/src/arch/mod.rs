//! The families of mask predictors, one file each: how a family's config is read, and under which names its weights are
//! stored. Everything else is the same code for all of them.
//!
//! `architectures` in `config.json` tells the families apart. `model_type` alone does not: LLaDA-MoE says "llada" there
//! too.

pub(crate) mod autoregressive;
mod dream;
pub(crate) mod hf;
mod illada;
pub(crate) mod llada;
mod llada2;
mod llada_moe;
mod smdm;
mod special_ids;

use std::{fmt, path::Path};

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
    /// LLaDA-MoE-7B-A1B (`LLaDAMoEModelLM`).
    LladaMoe,
    /// LLaDA2.0 and 2.1 (`LLaDA2MoeModelLM`).
    Llada2,
    /// iLLaDA-8B (`ILLaDAForCausalLM`).
    Illada,
    /// Dream-7B, DiffuCoder and Dream-Coder (`DreamModel`, arXiv 2508.15487).
    Dream,
    /// The masked diffusion models of SMDM (`TransEncoder`, arXiv 2410.18514).
    Smdm,
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
const FAMILIES: [(Family, &[&str], &str); 6] = [
    (Family::Llada, &["LLaDAModelLM"], "LLaDA-8B, LLaDA-1.5"),
    (Family::LladaMoe, &["LLaDAMoEModelLM", "LLaDAMoEModel"], "LLaDA-MoE"),
    (Family::Llada2, &["LLaDA2MoeModelLM"], "LLaDA2.0, LLaDA2.1"),
    (Family::Illada, &["ILLaDAForCausalLM"], "iLLaDA-8B"),
    (Family::Dream, &["DreamModel"], "Dream-7B, DiffuCoder"),
    (Family::Smdm, &["TransEncoder"], "SMDM"),
];

/// The name of its modelling class, as in `architectures`.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = FAMILIES.iter().find(|(family, ..)| family == self).map_or(&[][..], |(_, names, _)| names);
        f.write_str(names.first().copied().unwrap_or_default())
    }
}

impl Family {
    pub(crate) fn architecture(self) -> &'static dyn Architecture {
        match self {
            Self::Llada => &llada::Llada,
            Self::LladaMoe => &llada_moe::LladaMoe,
            Self::Llada2 => &llada2::Llada2,
            Self::Illada => &illada::Illada,
            Self::Dream => &dream::Dream,
            Self::Smdm => &smdm::Smdm,
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
            let is_llada2 = keys.contains_key("moe_intermediate_size");
            return Ok(if is_llada2 { Self::Llada2 } else { Self::LladaMoe });
        }
        match keys.get("model_type").and_then(Value::as_str) {
            None | Some("llada") => Ok(Self::Llada),
            Some("illada") => Ok(Self::Illada),
            Some("Dream") => Ok(Self::Dream),
            Some(model_type) => unknown(format!("that of model_type {model_type:?}")),
        }
    }
}

/// The family of the checkpoint in `folder`, and the keys of its config.
pub(crate) fn config_keys(folder: &Path) -> Result<(Family, Map<String, Value>), ModelError> {
    let path = folder.join("config.json");
    let lit_gpt = folder.join(smdm::CONFIG);
    if !path.exists() && lit_gpt.exists() {
        return Ok((Family::Smdm, files::read_json(&lit_gpt)?));
    }
    if !path.exists()
        && let Ok(Some(keys)) = smdm::keys_of_shapes(folder)
    {
        return Ok((Family::Smdm, keys));
    }
    let keys = files::read_json(&path)?;
    Ok((Family::of(&keys)?, keys))
}
