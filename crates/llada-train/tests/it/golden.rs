//! Losses, gradient norms and six steps of AdamW, as PyTorch computed them.

use std::fs;

use llada_core::objective::loss;
use llada_model::{Device, Dtype, TrainableTransformer, Weights};
use llada_train::{
    objective::{Answers, MaskedBatch, Rows},
    optimizer::{Optimizer, OptimizerConfig},
};
use serde::Deserialize;

use crate::fixture;

#[derive(Deserialize)]
struct Case {
    input_ids: Vec<Vec<u32>>,
    t: Vec<f32>,
    u: Vec<Vec<f64>>,
    #[serde(default)]
    prompt_lengths: Option<Vec<usize>>,
    #[serde(default)]
    lr: f64,
    loss: f64,
    grad_norm: Option<f64>,
}

fn load(name: &str, dtype: Dtype) -> TrainableTransformer {
    TrainableTransformer::load(&fixture(name), Device::Cpu, dtype).unwrap()
}

fn json(name: &str, file: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(fixture(name).join(file)).unwrap()).unwrap()
}

/// The loss of a golden case; its gradient is added to the model's.
fn accumulate(model: &mut TrainableTransformer, case: Case, tolerance: f64) -> f64 {
    let row_length = case.input_ids[0].len();
    let answers = case.prompt_lengths.map(|lengths| Answers::after(&lengths, row_length));
    let rows = Rows { ids: case.input_ids.concat(), row_length, answers };
    let masked = MaskedBatch::diffusion(&rows, &case.t, &case.u.concat(), model.config().mask_token_id).unwrap();
    let batch = masked.batch();
    let found = loss(&model.accumulate(&batch).unwrap(), batch.weights).unwrap();
    let alone = loss(&model.cross_entropy(&batch).unwrap(), batch.weights).unwrap();
    check_close("loss without a gradient", alone, found, tolerance);
    found
}

#[track_caller]
fn check_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{what}: {found}, expected {expected}");
}

fn check_losses(dtype: Dtype, tolerance: f64) {
    for name in ["tiny-llada", "tiny-llada-gqa-bf16"] {
        for activation_checkpointing in [false, true] {
            let mut model = load(name, dtype);
            model.set_activation_checkpointing(activation_checkpointing);
            let cases: Vec<Case> = serde_json::from_value(json(name, "golden.json")["loss"].take()).unwrap();
            for (index, case) in cases.into_iter().enumerate() {
                let (expected, grad_norm) = (case.loss, case.grad_norm.unwrap_or(0.0));
                check_close(
                    &format!("{name} {index} loss"),
                    accumulate(&mut model, case, tolerance),
                    expected,
                    tolerance,
                );
                let norm = model.gradient().norm().unwrap();
                check_close(&format!("{name} {index} norm"), norm, grad_norm, tolerance);
                model.clear_gradient().unwrap();
            }
        }
    }
}

#[test]
fn losses_and_gradients_equal_the_reference() {
    check_losses(Dtype::F32, 1e-4);
}

#[test]
fn bf16_follows_f32() {
    check_losses(Dtype::Bf16, 0.03);
}

#[test]
fn six_steps_of_adamw_equal_the_reference() {
    let mut golden = json("tiny-llada", "golden_train.json");
    let mut model = load("tiny-llada", Dtype::F32);
    let mut optimizer = Optimizer::new(&model, OptimizerConfig::default()).unwrap();
    let steps: Vec<Case> = serde_json::from_value(golden["steps"].take()).unwrap();
    for (step, case) in (1..).zip(steps) {
        let (lr, expected, grad_norm) = (case.lr, case.loss, case.grad_norm.unwrap());
        check_close("loss", accumulate(&mut model, case, 1e-4), expected, 1e-4);
        let norm = model.gradient().norm().unwrap();
        check_close("norm", norm, grad_norm, 1e-4);
        optimizer.step(&mut model, step, lr, norm).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path(), Dtype::F32).unwrap();
    let mut weights = Weights::open(folder.path()).unwrap();
    for (name, expected) in golden["parameters_after"].as_object().unwrap() {
        let shape = weights.list().find(|(found, ..)| found == name).unwrap().2.to_vec();
        let stored = weights.take(name, &shape).unwrap();
        let values: Vec<f64> =
            stored.bytes().chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()).into()).collect();
        check_close(name, values.iter().map(|x| x * x).sum::<f64>().sqrt(), expected["l2"].as_f64().unwrap(), 1e-4);
        for (found, expected) in values.iter().zip(expected["first"].as_array().unwrap()) {
            assert!((found - expected.as_f64().unwrap()).abs() < 1e-4, "{name}: {found}, expected {expected}");
        }
    }
    weights.finish().unwrap();
}
