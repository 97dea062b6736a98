//! Laws of the gradient: batches add up, causal models do not look ahead, and one batch can be learned by heart.

use llada_core::rng::Noise;
use llada_model::{
    Device, Dtype, ModelConfig, Parameters, TrainableTransformer, TrainingBatch, Weights, expected_tensors,
};
use llada_train::{
    objective::{Answers, MaskedBatch, Objective, Rows},
    optimizer::{Optimizer, OptimizerConfig},
};
use serde_json::json;

use crate::fixture;

fn rows(count: usize, row_length: usize, prompt_lengths: Option<Vec<usize>>) -> Rows {
    let ids = (0..(count * row_length) as u32).map(|i| i * 7919 % 500).collect();
    let answers = prompt_lengths.map(|lengths| Answers::after(&lengths, row_length));
    Rows { ids, row_length, answers }
}

fn mask(objective: Objective, rows: &Rows) -> MaskedBatch {
    objective.mask(rows, 510, true, Noise::new(5), 3).unwrap()
}

/// A small model with new weights.
fn new(is_causal: bool) -> TrainableTransformer {
    let keys = json!({
        "d_model": 32, "n_layers": 2, "n_heads": 2, "n_kv_heads": 1, "mlp_hidden_size": 64, "vocab_size": 512,
        "max_sequence_length": 64, "mask_token_id": 510, "eos_token_id": 508, "weight_tying": true,
        "is_causal": is_causal,
    });
    let config = ModelConfig::from_keys(keys.as_object().unwrap().clone()).unwrap();
    TrainableTransformer::new(config, 1, Device::Cpu, Dtype::F32).unwrap()
}

/// All gradients, in the order of their names.
fn gradient(model: &mut TrainableTransformer, batch: &MaskedBatch, micro_batch_size: usize) -> Vec<f32> {
    model.clear_gradient().unwrap();
    for part in batch.micro_batches(micro_batch_size) {
        model.accumulate(&part.batch()).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    model.gradient().write(folder.path(), Dtype::F32).unwrap();
    let mut weights = Weights::open(folder.path()).unwrap();
    let tensors = expected_tensors(model.config()).into_iter();
    let of_tensor = |(name, shape): (String, Vec<usize>)| {
        let stored = weights.take(&name, &shape).unwrap();
        stored.bytes().chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect::<Vec<_>>()
    };
    tensors.flat_map(of_tensor).collect()
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    let mut model = TrainableTransformer::load(&fixture("tiny-llada"), Device::Cpu, Dtype::F32).unwrap();
    for prompt_lengths in [None, Some(vec![3; 12])] {
        let batch = mask(Objective::Diffusion, &rows(12, 20, prompt_lengths));
        let whole = gradient(&mut model, &batch, 12);
        let largest = whole.iter().map(|x| x.abs()).fold(0.0, f32::max);
        for micro_batch_size in [1, 4, 5] {
            let parts = gradient(&mut model, &batch, micro_batch_size);
            let difference = whole.iter().zip(&parts).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference <= 1e-5 * largest, "{difference} of {largest}");
        }
    }
}

#[test]
fn a_causal_model_does_not_look_ahead() {
    let mut model = new(true);
    let losses = |model: &mut TrainableTransformer, ids: &[u32]| {
        let wanted: Vec<usize> = (0..7).chain(8..15).collect();
        let targets: Vec<u32> = wanted.iter().map(|&token| ids[token + 1]).collect();
        let batch = TrainingBatch {
            ids,
            row_lengths: &[8; 2],
            wanted: &wanted,
            targets: &targets,
            weights: &[1.0; 14],
            entropy: None,
            share: 1.0,
        };
        model.cross_entropy(&batch).unwrap()
    };
    let mut ids: Vec<u32> = (0..16).collect();
    let before = losses(&mut model, &ids);
    ids[5] = 100;
    let after = losses(&mut model, &ids);
    for token in (0..4).chain(7..14) {
        assert!((before[token] - after[token]).abs() < 1e-6, "token {token}");
    }
    assert!((before[5] - after[5]).abs() > 1e-4);
}

fn check_learned_by_heart(objective: Objective) {
    let mut model = new(objective == Objective::Ar);
    let mut optimizer = Optimizer::new(&model, OptimizerConfig { weight_decay: 0.0, ..Default::default() }).unwrap();
    let batch = mask(objective, &rows(3, 12, None));
    let mut loss = f64::INFINITY;
    for step in 1..=400 {
        loss = batch.loss(&model.accumulate(&batch.batch()).unwrap()).unwrap();
        let grad_norm = model.gradient().norm().unwrap();
        optimizer.step(&mut model, step, 1e-2, grad_norm).unwrap();
    }
    assert!(loss < 0.01, "{objective:?}: {loss}");
}

#[test]
fn one_batch_is_learned_by_heart() {
    check_learned_by_heart(Objective::Diffusion);
    check_learned_by_heart(Objective::Ar);
}

/// The weights moved by `step` times the gradient.
fn moved(model: &TrainableTransformer, step: f32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let floats = |parameters: &Parameters| {
        parameters.write(folder.path(), Dtype::F32).unwrap();
        let bytes = std::fs::read(folder.path().join("model.safetensors")).unwrap();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let values: Vec<f32> = bytes[header..].chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect();
        (bytes[..header].to_vec(), values)
    };
    let ((header, weights), (_, gradient)) = (floats(model.weights()), floats(model.gradient()));
    let values = weights.iter().zip(gradient).flat_map(|(weight, slope)| (weight + step * slope).to_le_bytes());
    std::fs::write(folder.path().join("model.safetensors"), header.into_iter().chain(values).collect::<Vec<u8>>())
        .unwrap();
    folder
}

/// Along the gradient the loss rises as fast as the gradient is long, in every family: through routers, experts,
/// shifted logits and fused projections.
#[test]
fn the_gradient_is_the_slope_of_the_loss_in_every_family() {
    for name in ["tiny-llada", "tiny-illada", "tiny-llada-moe", "tiny-llada2", "tiny-dream", "tiny-smdm"] {
        let mut model = TrainableTransformer::load(&fixture(name), Device::Cpu, Dtype::F32).unwrap();
        let mask_id = model.config().mask_token_id;
        let rows = rows(3, 24, Some(vec![5, 0, 9]));
        let batch = Objective::Diffusion.mask(&rows, mask_id, true, Noise::new(5), 3).unwrap();
        model.clear_gradient().unwrap();
        model.accumulate(&batch.batch()).unwrap();
        let length = model.gradient().norm().unwrap();
        let step = (1e-4 / length) as f32;
        let [above, below] = [step, -step].map(|step| moved(&model, step)).map(|folder| {
            model.weights_mut().read(folder.path()).unwrap();
            total_loss(&mut model, &batch)
        });
        let slope = (above - below) / (2.0 * f64::from(step)) / length;
        assert!((slope / length - 1.0).abs() < 0.02, "{name}: {slope} against {length}");
    }
}

/// The objective and, in a mixture of experts, the routers' auxiliary loss.
fn total_loss(model: &mut TrainableTransformer, batch: &MaskedBatch) -> f64 {
    model.clear_gradient().unwrap();
    let loss = batch.loss(&model.accumulate(&batch.batch()).unwrap()).unwrap();
    loss + model.router_aux_loss().unwrap_or(0.0)
}

/// LLaDA-MoE's fixture with a coefficient that makes the auxiliary loss the larger one.
fn balanced() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("tiny-llada-moe")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config["router_aux_loss_coef"] = json!(20.0);
    std::fs::write(&path, config.to_string()).unwrap();
    folder
}

#[test]
fn routers_learn_from_the_auxiliary_loss() {
    let folder = balanced();
    let mut lengths = Vec::new();
    for is_checkpointed in [false, true] {
        let mut model = TrainableTransformer::load(folder.path(), Device::Cpu, Dtype::F32).unwrap();
        model.set_activation_checkpointing(is_checkpointed);
        let batch = Objective::Diffusion.mask(&rows(3, 24, None), 510, true, Noise::new(5), 3).unwrap();
        assert!(total_loss(&mut model, &batch) > 20.0);
        let length = model.gradient().norm().unwrap();
        // So small a step that no token changes its experts, whose number has no gradient.
        let step = (1e-5 / length) as f32;
        let [above, below] = [step, -step].map(|step| moved(&model, step)).map(|folder| {
            model.weights_mut().read(folder.path()).unwrap();
            total_loss(&mut model, &batch)
        });
        let slope = (above - below) / (2.0 * f64::from(step)) / length;
        assert!((slope / length - 1.0).abs() < 0.05, "{slope} against {length}");
        lengths.push(length);
    }
    assert!((lengths[0] - lengths[1]).abs() < 1e-5 * lengths[0], "{lengths:?}");
}

#[test]
fn a_contradictory_batch_is_refused() {
    let mut model = new(false);
    let good = TrainingBatch {
        ids: &[1, 2, 3, 4],
        row_lengths: &[2; 2],
        wanted: &[1, 2],
        targets: &[5, 6],
        weights: &[1.0; 2],
        entropy: None,
        share: 1.0,
    };
    assert_eq!(model.cross_entropy(&good).unwrap().len(), 2);
    for (batch, message) in [
        (TrainingBatch { row_lengths: &[3], ..good }, "4 ids are not rows of [3] tokens"),
        (TrainingBatch { row_lengths: &[2, 0, 2], ..good }, "rows of [2, 0, 2] tokens"),
        (TrainingBatch { row_lengths: &[5, usize::MAX], ..good }, "4 ids are not rows"),
        (TrainingBatch { wanted: &[1], ..good }, "1 wanted tokens, 2 targets"),
        (TrainingBatch { wanted: &[2, 1], ..good }, "not ascending"),
        (TrainingBatch { wanted: &[1, 4], ..good }, "below 4"),
        (TrainingBatch { targets: &[5, 512], ..good }, "token id 512"),
        (TrainingBatch { ids: &[1; 130], row_lengths: &[65; 2], ..good }, "max_sequence_length is 64"),
    ] {
        let error = model.accumulate(&batch).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
