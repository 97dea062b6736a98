//! Preferences, policy gradients and distillation as PyTorch computed them: losses, the weights of cross-entropies,
//! gradient norms. Here is what the three have in common.

mod distillation;
mod policy;
mod preference;

use std::{fs, path::Path};

use llada_core::policy::{Completion, LogProbs, View};
use llada_model::{Device, Dtype, TrainableTransformer};
use llada_train::objective::MaskedBatch;
use safetensors::{Dtype as StoredDtype, SafeTensors, serialize_to_file, tensor::TensorView};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fixture;

pub(crate) const MASK: u32 = 510;

pub(crate) fn golden(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

pub(crate) fn field<T: DeserializeOwned>(value: &Value, key: &str) -> T {
    serde_json::from_value(value[key].clone()).unwrap_or_else(|error| panic!("{key}: {error}"))
}

#[track_caller]
pub(crate) fn check_close(what: &str, found: f64, expected: f64) {
    let tolerance = 1e-4 * expected.abs().max(1.0);
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected}");
}

fn base() -> TrainableTransformer {
    TrainableTransformer::load(&fixture("tiny-llada"), Device::Cpu, Dtype::F32).unwrap()
}

/// tiny-llada with the adapter in its weights.
pub(crate) fn merged(adapter: &str) -> TrainableTransformer {
    let (base, adapter) = (fixture("tiny-llada"), fixture("lora").join(adapter));
    let config: Value = serde_json::from_slice(&fs::read(adapter.join("adapter_config.json")).unwrap()).unwrap();
    let adapter = fs::read(adapter.join("adapter_model.safetensors")).unwrap();
    let adapter = SafeTensors::deserialize(&adapter).unwrap();
    let shards = [1, 2].map(|shard| fs::read(base.join(format!("model-0000{shard}-of-00002.safetensors"))).unwrap());
    let weights = shards.iter().flat_map(|shard| SafeTensors::deserialize(shard).unwrap().tensors());
    let folder = tempfile::tempdir().unwrap();
    fs::copy(base.join("config.json"), folder.path().join("config.json")).unwrap();
    let mut tensors = Vec::new();
    for (name, view) in weights {
        let mut values = floats(view.data());
        let module = name.trim_end_matches(".weight");
        if let Ok(a) = adapter.tensor(&format!("base_model.model.{module}.lora_A.weight")) {
            let b = adapter.tensor(&format!("base_model.model.{module}.lora_B.weight")).unwrap();
            let (rank, inputs) = (a.shape()[0], a.shape()[1]);
            let of_module = |key: &str, default: &str| {
                let patterns = config[key].as_object().unwrap();
                // The keys are suffixes here, with an escaped dot.
                let found = patterns.iter().find(|(key, _)| module.ends_with(&key.replace('\\', "")));
                found.map_or_else(|| field::<f64>(&config, default), |(_, value)| value.as_f64().unwrap())
            };
            let alpha = of_module("alpha_pattern", "lora_alpha");
            assert_eq!(rank as f64, of_module("rank_pattern", "r"));
            let divisor = if config["use_rslora"] == true { (rank as f64).sqrt() } else { rank as f64 };
            let (a, b) = (floats(a.data()), floats(b.data()));
            for (i, value) in values.iter_mut().enumerate() {
                let (row, column) = (i / inputs, i % inputs);
                let product: f64 =
                    (0..rank).map(|k| f64::from(b[row * rank + k]) * f64::from(a[k * inputs + column])).sum();
                *value = (f64::from(*value) + alpha / divisor * product) as f32;
            }
        }
        let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        tensors.push((name, view.shape().to_vec(), bytes));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(StoredDtype::F32, shape.clone(), bytes).unwrap()));
    serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    TrainableTransformer::load(folder.path(), Device::Cpu, Dtype::F32).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn log_probs(model: &mut TrainableTransformer, row: &[u32], views: &[View]) -> LogProbs {
    let mut all = Vec::new();
    for view in views {
        let batch = MaskedBatch::of_views([(row, std::slice::from_ref(view))]);
        let losses = model.cross_entropy(&batch.batch()).unwrap();
        all.push(losses.into_iter().map(|loss| -f64::from(loss)).collect());
    }
    all
}

/// The norm of the gradient of the cross-entropies of `rows`' views with these weights.
fn gradient_norm(model: &mut TrainableTransformer, rows: &[(&[u32], &[View])], weights: &[LogProbs]) -> f64 {
    model.clear_gradient().unwrap();
    for (row, weights) in rows.iter().zip(weights) {
        let weights = weights.iter().flatten().map(|&weight| weight as f32).collect();
        model.accumulate(&MaskedBatch::of_views([*row]).with_weights(weights).batch()).unwrap();
    }
    model.gradient().norm().unwrap()
}

/// The view of a noisy row: all masks that count are scored.
fn view_of(completion: &Completion, noisy: &[u32]) -> View {
    let counting = completion.prompt_length..completion.prompt_length + completion.length;
    View { ids: noisy.to_vec(), scored: counting.filter(|&position| noisy[position] == MASK).collect() }
}

/// The view of a completion that is masked where `masked`, and scored there too.
fn masked_view(completion: &Completion, masked: impl Fn(usize) -> bool) -> View {
    let mut noisy = completion.ids.clone();
    for token in (0..completion.canvas()).filter(|&token| masked(token)) {
        noisy[completion.prompt_length + token] = MASK;
    }
    view_of(completion, &noisy)
}
