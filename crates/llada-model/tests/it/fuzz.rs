//! Checkpoints with damaged files: an error or a model, in bounded time, never a panic.

use std::{fs, path::Path};

use llada_model::{Adapter, Device, Dtype, ModelConfig, TrainableTransformer, Transformer, Weights};
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

/// Damages `file` of an adapter from byte `start` to `end`, and reads it in every way there is.
fn damage_adapter(few: u32, file: &str, part: impl Fn(&[u8]) -> std::ops::Range<usize>) {
    for name in ["adapter_attn", "adapter_head"] {
        let folder = tempfile::tempdir().unwrap();
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            fs::copy(fixture("lora").join(name).join(file), folder.path().join(file)).unwrap();
        }
        let whole = fs::read(folder.path().join(file)).unwrap();
        let part = part(&whole);
        survives(few, &whole[part.clone()], |bytes| {
            let damaged = [&whole[..part.start], bytes, &whole[part.end..]].concat();
            fs::write(folder.path().join(file), damaged).unwrap();
            let adapter = match Adapter::open(folder.path()) {
                Ok(adapter) => adapter,
                Err(error) => return assert!(!error.to_string().is_empty()),
            };
            let loaded = Transformer::load_with_adapter(&fixture(SHARDED), &adapter, Device::Cpu, Dtype::F32);
            let precision = Dtype::F32.into();
            let trained =
                TrainableTransformer::with_adapter(&fixture(SHARDED), &adapter, precision, Device::Cpu, Dtype::F32);
            assert_eq!(loaded.is_ok(), trained.is_ok());
        });
    }
}

#[test]
fn a_damaged_config_of_an_adapter_is_an_error_or_an_adapter() {
    damage_adapter(48, "adapter_config.json", |whole| 0..whole.len());
}

#[test]
fn a_damaged_file_of_an_adapter_is_an_error_or_an_adapter() {
    damage_adapter(32, "adapter_model.safetensors", |whole| 0..whole.len());
    damage_adapter(32, "adapter_model.safetensors", |whole| {
        8..8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize
    });
}

#[test]
fn truncated_files_of_an_adapter_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let from = fixture("lora/adapter_all");
    fs::copy(from.join("adapter_config.json"), folder.path().join("adapter_config.json")).unwrap();
    let missing = Adapter::open(folder.path()).unwrap_err().to_string();
    assert!(missing.contains("adapter_model.safetensors"), "{missing}");
    let whole = fs::read(from.join("adapter_model.safetensors")).unwrap();
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(folder.path().join("adapter_model.safetensors"), &whole[..length]).unwrap();
        let error = Adapter::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("adapter_model.safetensors"), "{length}: {error}");
    }
    fs::remove_file(folder.path().join("adapter_model.safetensors")).unwrap();
    fs::write(folder.path().join("adapter_model.bin"), &whole).unwrap();
    let error = Adapter::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("its tensors are in adapter_model.bin"), "{error}");
}
