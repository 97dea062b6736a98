//! A model behind the front door does what its parts do when they are put together by hand.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod decisions;
mod schemas;
mod steps;
mod text;

use std::{
    fs,
    path::{Path, PathBuf},
};

use llada::{Model, SamplerConfig};
use tempfile::TempDir;

fn tiny_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/llada-tiny")
}

fn tiny() -> Model {
    Model::open(tiny_folder()).unwrap()
}

/// What llada-tiny was trained to answer in.
fn config() -> SamplerConfig {
    SamplerConfig { gen_length: 32, ..SamplerConfig::default() }
}

/// A copy of llada-tiny without some files, whose config has these keys instead of its own.
fn variant(without: &[&str], keys: serde_json::Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        if !without.contains(&file) {
            fs::copy(tiny_folder().join(file), folder.path().join(file)).unwrap();
        }
    }
    let text = fs::read_to_string(tiny_folder().join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}
