//! Checkpoints with damaged files: an error or a model, in bounded time, never a panic.

use std::{fs, path::Path};

use llada_model::{Device, Dtype, ModelConfig, TrainableTransformer, Transformer, Weights};
use tempfile::TempDir;

use crate::{
    fixture,
    mutation::survives,
    variant::{copy, safetensors_with_header},
};

const SINGLE: &str = "tiny-llada-gqa-bf16";
const SHARDED: &str = "tiny-llada";

/// Reads a checkpoint in every way there is; what fails has said why.
fn read(folder: &Path) {
    let reading = ModelConfig::inspect(folder);
    assert!(reading.config.is_some() || !reading.problems.is_empty());
    if let (Ok(mut weights), Some(config)) = (Weights::open(folder), &reading.config) {
        config.parameters();
        weights.check(config);
        weights.unread_files().unwrap();
    }
    let loaded = Transformer::load(folder, Device::Cpu, Dtype::F32);
    assert!(loaded.is_err() || reading.problems.is_empty());
    if let Err(error) = loaded {
        assert!(!error.to_string().is_empty());
        assert!(TrainableTransformer::load(folder, Device::Cpu, Dtype::F32).is_err());
    }
}

/// Damages `file` of a copy of a fixture, `name`, in which `add` may make files first.
fn check(few: u32, name: &str, file: &str, add: impl Fn(&Path)) {
    let folder: TempDir = copy(name);
    add(folder.path());
    let whole = fs::read(folder.path().join(file)).unwrap();
    survives(few, &whole, |bytes| {
        fs::write(folder.path().join(file), bytes).unwrap();
        read(folder.path());
    });
}

#[test]
fn a_damaged_config_is_an_error_or_a_config() {
    check(48, SINGLE, "config.json", |_| {});
}

#[test]
fn a_damaged_index_is_an_error_or_an_index() {
    check(32, SHARDED, "model.safetensors.index.json", |_| {});
}

#[test]
fn a_damaged_adapter_config_is_an_adapter_all_the_same() {
    let text = r#"{"peft_type": "LORA", "base_model_name_or_path": "GSAI-ML/LLaDA-8B-Base", "r": 8}"#;
    check(16, SINGLE, "adapter_config.json", |folder| fs::write(folder.join("adapter_config.json"), text).unwrap());
}

#[test]
fn a_damaged_header_is_an_error_or_weights() {
    let folder = copy(SINGLE);
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    // What is inside is met only if the length before it is right again.
    survives(48, &whole[8..8 + length], |header| {
        fs::write(&path, safetensors_with_header(header, &whole[8 + length..])).unwrap();
        read(folder.path());
    });
}

#[test]
fn a_file_of_weights_that_is_damaged_anywhere_is_an_error_or_weights() {
    let folder = copy(SINGLE);
    let path = folder.path().join("model.safetensors");
    // Its beginning, so that every edit meets the header and its length.
    let whole = fs::read(fixture(SINGLE).join("model.safetensors")).unwrap();
    survives(32, &whole[..whole.len().min(8192)], |bytes| {
        fs::write(&path, [bytes, &whole[whole.len().min(8192)..]].concat()).unwrap();
        read(folder.path());
    });
}
