//! Reading a folder's config: the family is told first, then every key is honoured, known to change nothing, or refused
//! by name.

use std::path::Path;

use serde_json::{Map, Value};

use super::ModelConfig;
use crate::{ModelError, arch, arch::Family, folder};

/// The contents of a `config.json`, whether or not its model can be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConfigReading {
    /// The config; none if the architecture is not known, or the shapes of the tensors cannot be told.
    pub config: Option<ModelConfig>,
    /// Every reason for which the model does not load, as far as the config tells.
    pub problems: Vec<ModelError>,
    /// Keys that are there and change nothing, by name.
    pub without_effect: Vec<String>,
}

impl ConfigReading {
    fn failed(problem: ModelError) -> Self {
        Self { config: None, problems: vec![problem], without_effect: Vec::new() }
    }

    /// The config, unless there is a problem: then the first.
    fn into_config(self) -> Result<ModelConfig, ModelError> {
        match (self.config, self.problems.into_iter().next()) {
            (Some(config), None) => Ok(config),
            (_, problem) => {
                Err(problem.unwrap_or_else(|| ModelError::config("architectures", "the shape cannot be told")))
            }
        }
    }
}

impl ModelConfig {
    /// Reads the config of the checkpoint in `folder`. Null is absent, and absent is what the family's published
    /// configuration class has.
    ///
    /// # Errors
    /// The file cannot be read or parsed, the architecture is not known, or a key is unknown, refused or impossible.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        Self::inspect(folder).into_config()
    }

    /// Reads the config of the checkpoint in `folder` as [`load`](Self::load) does, and collects everything that is wrong
    /// with it.
    pub fn inspect(folder: &Path) -> ConfigReading {
        match folder::check(folder).and_then(|()| arch::config_keys(folder)) {
            Ok((family, keys)) => Self::read(family, keys, Some(folder)),
            Err(error) => ConfigReading::failed(error),
        }
    }

    /// The config of new weights of LLaDA's family. Keys are those of its `config.json`; those that have one value in
    /// LLaDA, such as `rope`, need not be there.
    ///
    /// # Errors
    /// A key is missing, unknown, refused or impossible; the error names it.
    pub fn from_keys(mut keys: Map<String, Value>) -> Result<Self, ModelError> {
        for (key, value) in arch::llada::fixed_keys() {
            keys.entry(key).or_insert(value);
        }
        Self::read(Family::Llada, keys, None).into_config()
    }

    fn read(family: Family, keys: Map<String, Value>, folder: Option<&Path>) -> ConfigReading {
        let mut keys = super::Keys::new(keys, folder);
        let config = family.architecture().read(&mut keys);
        let super::Keys { problems, without_effect, .. } = keys;
        ConfigReading { config, problems, without_effect }
    }

    /// The keys of a `config.json` for weights stored in `torch_dtype`, complete as upstream's readers expect them.
    pub(crate) fn to_keys(&self, torch_dtype: &str) -> Map<String, Value> {
        let mut keys = self.family.architecture().complete_keys(self);
        keys.insert("torch_dtype".to_owned(), torch_dtype.into());
        keys
    }
}
