//! A checkpoint in the Hugging Face layout.

use std::path::{Path, PathBuf};

use super::{Part, Source, check_layers};
use crate::{
    ModelError, Weights,
    arch::{
        autoregressive::{Autoregressive, AutoregressiveConfig},
        hf,
    },
    config::Keys,
    convert::{Conversion, family, text::TextSide},
    files,
    weights::role::Role,
};

/// The key of `generation_config.json` that may name more ends of a text than `config.json` does.
const ENDS: &str = "eos_token_id";

pub(in crate::convert) struct Folder {
    path: PathBuf,
    config: AutoregressiveConfig,
    weights: Weights,
}

impl Folder {
    pub(super) fn open(path: &Path, conversion: &Conversion) -> Result<Self, ModelError> {
        // A folder that is no checkpoint is diagnosed here, before its config is missed.
        let mut weights = Weights::open(path)?;
        let keys: serde_json::Map<_, _> = files::read_json(&path.join("config.json"))?;
        let architecture = Autoregressive::of(&keys)?;
        let mut keys = Keys::new(keys, Some(path));
        let config = architecture.read(family::of(architecture, conversion)?, &mut keys);
        let mut config = match (config, keys.problems.into_iter().next()) {
            (Some(config), None) => config,
            (_, problem) => {
                return Err(problem.unwrap_or_else(|| ModelError::config("architectures", "the shape cannot be told")));
            }
        };
        let generation = path.join("generation_config.json");
        if generation.exists() {
            let generation: serde_json::Map<_, _> = files::read_json(&generation)?;
            let ends = generation.get(ENDS).and_then(crate::config::token_ids).unwrap_or_default();
            config.add_ends(ends);
        }
        if let Some(problem) = weights.drop_inv_freq(&config.shape).into_iter().next() {
            return Err(problem);
        }
        if config.shape.tie_word_embeddings {
            // Some programs store the embedding a second time under this name.
            weights.drop_tensor("lm_head.weight");
        }
        check_layers(&config, weights.count())?;
        Ok(Self { path: path.to_owned(), config, weights })
    }
}

impl Source for Folder {
    fn config(&self) -> &AutoregressiveConfig {
        &self.config
    }

    fn values(&mut self, role: Role, part: Part, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let name = format!("{}.{}", hf::module(role), part.name());
        let stored = self.weights.take_any(&name, shape)?;
        let values = stored.values(&name)?;
        stored.release();
        Ok(values)
    }

    fn finish(&self) -> Result<(), ModelError> {
        self.weights.nothing_left()
    }

    fn text_side(&self) -> Result<TextSide, ModelError> {
        TextSide::of_folder(&self.path)
    }
}
