//! Run files, states of runs and datasets with damaged files: an error or a run, in bounded time, never a panic.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use llada_train::{
    checkpoint::newest,
    config::{RunConfig, Training},
    data::Dataset,
    metrics,
    run::{Outcome, Run},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use toml::Table;

use crate::{
    mutation::survives,
    run::{config, workplace},
};

const RUN_FILE: &str = r#"out = "runs/a"
data = "data"
validation = "validation"
tokenizer = "tokenizer"
objective = "diffusion"
steps = 2000
batch_size = 32
micro_batch_size = 8
row_length = 256
seed = 7
dtype = "bf16"
device = "cpu"
random_length = true
ema_decay = 0.999
checkpoint_every = 500
export_dtype = "f32"

[model]
d_model = 192
n_layers = 6
n_heads = 6
mlp_hidden_size = 512
max_sequence_length = 256
rope_theta = 1e4

[schedule]
decay = "wsd"
lr = 4e-4
warmup_steps = 100

[optimizer]
betas = [0.9, 0.95]
weight_decay = 0.1
"#;

const RUN_FILE_OF_AN_ADAPTER: &str = r#"out = "runs/a"
data = "data"
init = "models/llada-tiny"
base_dtype = "nf4-double"
steps = 2000

[adapter]
r = 16
lora_alpha = 32
lora_dropout = 0.05
use_rslora = false
target_modules = '.*\.blocks\.\d+\.(q_proj|v_proj)'
exclude_modules = ["0.q_proj"]
modules_to_save = ["ln_f"]
rank_pattern = { 'blocks\.1\.q_proj' = 4 }
alpha_pattern = { v_proj = 8.5 }
"#;

#[test]
fn a_damaged_run_file_is_an_error_or_a_run() {
    for file in [RUN_FILE, RUN_FILE_OF_AN_ADAPTER] {
        damage_run_file(file);
    }
}

fn damage_run_file(file: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    RunConfig::from_tables(Training::Pretrain, [file.parse::<Table>().unwrap()]).unwrap();
    fs::write(&path, format!("\u{feff}{file}")).unwrap();
    RunConfig::load(&path, Training::Pretrain, Table::new()).unwrap();
    survives(128, file.as_bytes(), |bytes| {
        fs::write(&path, bytes).unwrap();
        for kind in [Training::Pretrain, Training::Sft] {
            if let Err(error) = RunConfig::load(&path, kind, Table::new()) {
                assert!(!error.to_string().is_empty());
            }
        }
    });
}

/// A run of two steps in `folder`, stopped after the first.
fn stopped(folder: &Path) -> RunConfig {
    let config = config(folder, Training::Pretrain, "out", "steps = 2");
    let stop = AtomicBool::new(false);
    let mut run = Run::open(config.clone(), Training::Pretrain).unwrap();
    let outcome = run.train(&stop, |_| stop.store(true, Ordering::Relaxed)).unwrap();
    assert!(matches!(outcome, Outcome::Stopped(_)), "{outcome:?}");
    config
}

#[test]
fn a_damaged_state_is_skipped_or_goes_on() {
    let folder = workplace();
    let config = stopped(folder.path());
    let checkpoints = folder.path().join("out/checkpoints");
    let state = checkpoints.join("step-00000001/state.json");
    let whole = fs::read(&state).unwrap();
    survives(24, &whole, |bytes| {
        fs::write(&state, bytes).unwrap();
        let found = newest(&checkpoints).unwrap();
        assert_eq!(found.whole.is_some(), found.skipped.is_empty());
        if let Err(error) = Run::open(config.clone(), Training::Pretrain) {
            assert!(!error.to_string().is_empty());
        }
    });
}

#[test]
fn damaged_metrics_are_read_as_far_as_they_can_be() {
    let folder = workplace();
    stopped(folder.path());
    let path = folder.path().join("out/metrics.jsonl");
    let whole = fs::read(&path).unwrap();
    survives(64, &whole, |bytes| {
        fs::write(&path, bytes).unwrap();
        drop(metrics::read(&path));
    });
}

/// Opens the dataset and reads all of it.
fn read(folder: &Path) {
    let Ok(data) = Dataset::open(folder) else { return };
    for row_length in [1, 12] {
        for row in 0..data.rows(row_length) {
            data.read(&[row], row_length);
        }
    }
}

#[test]
fn a_damaged_manifest_is_an_error_or_a_dataset() {
    let folder = workplace();
    for kind in ["pretrain", "sft"] {
        let path = folder.path().join(kind).join("dataset.json");
        let whole = fs::read(&path).unwrap();
        survives(32, &whole, |bytes| {
            fs::write(&path, bytes).unwrap();
            read(path.parent().unwrap());
        });
    }
}

#[test]
fn a_damaged_shard_that_its_manifest_vouches_for_is_an_error_or_a_dataset() {
    let folder = workplace();
    for kind in ["pretrain", "sft"] {
        let folder = folder.path().join(kind);
        let manifest: Value = serde_json::from_slice(&fs::read(folder.join("dataset.json")).unwrap()).unwrap();
        let shard = folder.join(manifest["shards"][0]["file"].as_str().unwrap());
        let whole = fs::read(&shard).unwrap();
        let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let read_as_vouched = |bytes: &[u8]| {
            let mut manifest = manifest.clone();
            let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            manifest["shards"][0]["sha256"] = digest.into();
            fs::write(&shard, bytes).unwrap();
            fs::write(folder.join("dataset.json"), manifest.to_string()).unwrap();
            read(&folder);
        };
        survives(32, &whole[8..], |bytes| {
            // The header's length as it was, and as it is if the edit is in the header.
            let moved = (length + bytes.len()).saturating_sub(whole.len() - 8);
            for length in [length, moved] {
                read_as_vouched(&[&(length as u64).to_le_bytes(), bytes].concat());
            }
        });
    }
}
