//! LoRA adapters (Hu et al. 2021, arXiv 2106.09685) in the format of peft 0.21: a folder with `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! [`Adapter`] is such a folder, whatever model it is for. Only with a model's config is it known which modules it
//! changes (`targets`), and whether its tensors are those that they call for.

pub(crate) mod config;
mod files;
mod keys;
pub(crate) mod merge;
pub(crate) mod targets;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tch::{Device, Kind, Tensor};

pub(crate) use self::files::write;
use self::{config::LoraConfig, targets::Targets};
use crate::{
    ModelConfig, ModelError, Weights,
    layers::lora::Lora,
    torch::tensor::{map, rows_of},
    weights::role::{Module, StoredTensor},
};

/// An adapter in its files.
#[derive(Debug)]
pub struct Adapter {
    folder: PathBuf,
    config: LoraConfig,
    base_model: Option<String>,
}

/// The tensors of an adapter on a device.
#[derive(Debug)]
pub(crate) struct LoadedAdapter {
    targets: Targets,
    tensors: BTreeMap<String, Tensor>,
}

impl Adapter {
    /// Opens the adapter in `folder`.
    ///
    /// # Errors
    /// A file is missing or damaged; the config has a key that is unknown, or a value that is not supported.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let (config, base_model) = keys::read(&folder.join(keys::FILE))?;
        let adapter = Self { folder: folder.to_owned(), config, base_model };
        adapter.weights()?;
        Ok(adapter)
    }

    /// The same with another [`lora_dropout`](LoraConfig::lora_dropout), which changes nothing but how training goes on.
    #[must_use]
    pub fn with_lora_dropout(mut self, lora_dropout: f64) -> Self {
        self.config.lora_dropout = lora_dropout;
        self
    }

    /// Returns its settings.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// Returns the name of the model that it was trained on, if it says so.
    pub fn base_model(&self) -> Option<&str> {
        self.base_model.as_deref()
    }

    /// Returns its tensors, whose names are without peft's prefix `base_model.model.`.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn weights(&self) -> Result<Weights, ModelError> {
        files::open(&self.folder)
    }

    /// Reads the tensors, which must be those that the adapter's settings call for in a model of `config`.
    ///
    /// # Errors
    /// The settings do not fit the model; a tensor is missing or unexpected, or has another shape or dtype.
    pub(crate) fn load(&self, config: &ModelConfig, device: Device, kind: Kind) -> Result<LoadedAdapter, ModelError> {
        let targets = Targets::new(&self.config, config)?;
        let mut weights = self.weights()?;
        let mut tensors = BTreeMap::new();
        for StoredTensor { name, shape, .. } in targets.tensors() {
            let stored = weights.take(&name, &shape)?;
            // A copy, because the file is not kept.
            tensors.insert(name, map(&stored)?.f_to_dtype(kind, false, true)?.f_to_device(device)?);
        }
        weights.finish()?;
        Ok(LoadedAdapter { targets, tensors })
    }
}

impl LoadedAdapter {
    /// Returns the adapter of the layer that `module` stores, if it has one.
    pub(crate) fn lora(&self, module: &Module) -> Result<Option<Lora>, ModelError> {
        self.targets.lora(module, |name| {
            let missing = || ModelError::lora("target_modules", format!("tensor {name} is missing"));
            Ok(self.tensors.get(name).ok_or_else(missing)?.shallow_clone())
        })
    }

    /// Returns the tensor `name` of the model, or the rows of it that belong to the role, if the adapter replaces it.
    pub(crate) fn saved(&self, module: &Module, name: &str) -> Result<Option<Tensor>, ModelError> {
        if !self.targets.saved.contains_key(name) {
            return Ok(None);
        }
        let Some(tensor) = self.tensors.get(name) else { return Ok(None) };
        if module.rows.is_empty() { Ok(Some(tensor.shallow_clone())) } else { rows_of(tensor, &module.rows).map(Some) }
    }
}
