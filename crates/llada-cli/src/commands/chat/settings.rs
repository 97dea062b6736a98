//! The options of the sampler that a chat was begun with, or was told since.

use llada_infer::{Algorithm, InferError, SamplerConfig};
use serde_json::{Map, Value};

use crate::{
    args::read_options,
    exit::{hinted, usage},
};

/// Options by name, and the config that they amount to.
#[derive(Clone)]
pub(super) struct Settings {
    options: Map<String, Value>,
    /// The published sampler of the model's family.
    algorithm: Algorithm,
    config: SamplerConfig,
}

/// Renders an option and its value as the command that sets it.
pub(super) fn command(option: &str, value: &str) -> String {
    format!("/set {option} {value}")
}

impl Settings {
    /// Reads `options`, under the sampler that they name or else `algorithm`.
    ///
    /// # Errors
    /// As of [`read_options`].
    pub(super) fn new(options: Map<String, Value>, algorithm: Algorithm) -> Result<Self, InferError> {
        let config = read_options(options.clone(), algorithm)?;
        Ok(Self { options, algorithm, config })
    }

    /// Returns the same settings but for `changes`, in which null stands for the default.
    pub(super) fn with(&self, changes: Map<String, Value>) -> anyhow::Result<Self> {
        let mut options = self.options.clone();
        for (option, value) in changes {
            if !value.is_null() {
                options.insert(option, value);
            } else if options.remove(&option).is_none() {
                return Err(usage(format!("{option} was not set\nhint: /set lists what holds")));
            }
        }
        Self::new(options, self.algorithm).map_err(|error| match error {
            InferError::UnknownOption { .. } => hinted(&error, "/set lists the options"),
            error => error.into(),
        })
    }

    /// Returns other settings for the same model.
    pub(super) fn replaced(&self, options: Map<String, Value>) -> Result<Self, InferError> {
        Self::new(options, self.algorithm)
    }

    pub(super) fn options(&self) -> &Map<String, Value> {
        &self.options
    }

    pub(super) fn config(&self) -> &SamplerConfig {
        &self.config
    }

    /// Returns every option with its value, one a line.
    pub(super) fn shown(&self) -> anyhow::Result<String> {
        // Through text, so that 0.9 stays 0.9 where single precision becomes double.
        let options: Map<String, Value> = serde_json::from_str(&serde_json::to_string(&self.config)?)?;
        let mut lines = Vec::new();
        for (option, value) in options {
            match value {
                Value::Null => lines.push(format!("{option} default")),
                Value::String(name) => lines.push(format!("{option} {name}")),
                value => lines.push(format!("{option} {value}")),
            }
        }
        Ok(lines.join("\n"))
    }
}
