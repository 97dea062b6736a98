//! The comparison of a checkpoint's tensors with its config, before any layer is built.

use std::{collections::BTreeSet, path::Path};

use super::{
    INDEX, SINGLE, Weights, inv_freq,
    role::{self, StoredTensor, stored_tensors},
};
use crate::{ModelConfig, ModelError, folder};

impl Weights {
    /// Opens the weights in `folder` and checks them against `config`.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and the first problem that [`check`](Self::check) finds.
    pub(crate) fn of(folder: &Path, config: &ModelConfig) -> Result<Self, ModelError> {
        let mut weights = Self::open(folder)?;
        match weights.check(config).into_iter().next() {
            None => Ok(weights),
            Some(problem) => Err(problem),
        }
    }

    /// Returns all differences from what `config` calls for: tensors that are missing or unexpected, or have another
    /// shape or dtype. Buffers of rotary frequencies that agree with the config are dropped.
    pub fn check(&mut self, config: &ModelConfig) -> Vec<ModelError> {
        // Every layer and every expert has tensors of its own. This is checked first because a hostile config may claim
        // so many that listing their tensors would exhaust memory.
        if role::at_least(config) > self.tensors.len() {
            let (layers, found) = (config.num_hidden_layers, self.tensors.len());
            let experts =
                config.moe.as_ref().map(|moe| format!(" with {} experts", moe.num_experts)).unwrap_or_default();
            return vec![ModelError::config(
                "n_layers",
                format!("{layers} layers{experts} cannot be in {found} tensors"),
            )];
        }
        let mut problems = self.drop_inv_freq(config);
        let mut expected = BTreeSet::new();
        for tensor in stored_tensors(config) {
            let is_linear = tensor.is_linear_weight();
            let StoredTensor { name, shape, .. } = tensor;
            if config.is_quantized && is_linear && self.is_in_eight_bits(&name) {
                let scale = role::scale(&name);
                problems.extend(
                    self.find_of_shape(&scale, &[shape[0], 1]).and_then(|stored| stored.checked_float(&scale)).err(),
                );
                problems.extend(self.find_of_shape(&name, &shape).err());
                expected.insert(scale);
            } else {
                problems.extend(self.find_of_shape(&name, &shape).and_then(|stored| stored.checked_float(&name)).err());
            }
            expected.insert(name);
        }
        let unexpected: Vec<&String> = self.tensors.keys().filter(|name| !expected.contains(*name)).collect();
        problems.extend(self.unexpected(&unexpected));
        problems
    }

    /// Drops the buffers `inv_freq` of older checkpoints, and returns an error for each that disagrees with
    /// `rope_theta`.
    pub(crate) fn drop_inv_freq(&mut self, config: &ModelConfig) -> Vec<ModelError> {
        let names: Vec<String> = self.tensors.keys().filter(|name| inv_freq::is_name(name)).cloned().collect();
        let mut problems = Vec::new();
        for name in names {
            let Some(stored) = self.find(&name) else { continue };
            if !inv_freq::is_of(config, &stored) {
                let message = format!("tensor {name} rotates otherwise than rope_theta {}", config.rope_theta);
                problems.push(ModelError::file(&stored.shard.path, message));
            }
            self.tensors.remove(&name);
        }
        problems
    }

    /// Returns the names of weight files in the folder that were not read because others take precedence.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn unread_files(&self) -> Result<Vec<String>, ModelError> {
        let names = folder::file_names(&self.folder).map_err(ModelError::io(&self.folder))?;
        let is_read = |name: &String| self.shards.iter().any(|shard| shard.path.ends_with(name));
        let index_is_read = self.shards.iter().any(|shard| !shard.path.ends_with(SINGLE));
        let is_left = |name: &String| match name.as_str() {
            INDEX => !index_is_read,
            _ => folder::is_of_weights(name) && !is_read(name),
        };
        Ok(names.into_iter().filter(is_left).collect())
    }
}
