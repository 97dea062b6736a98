//! Sampling during training, and validation, which scores during training.

use llada_core::{
    likelihood::{BATCH_SIZE, MaskingPlan},
    rng::Noise,
};
use llada_infer::{Engine, Request, SamplerConfig, SpecialTokens};
use llada_model::{Device, Dtype, TrainableTransformer, TrainingBatch, Transformer};
use llada_train::{
    collective::SingleProcess,
    data::{Dataset, ValidationSet},
    objective::{Answers, Objective, Rows},
    optimizer::{Optimizer, OptimizerConfig},
    validate::validate,
};

use crate::{fixture, run::workplace};

/// A model that has left its checkpoint behind by two steps.
fn learned(dtype: Dtype) -> TrainableTransformer {
    let mut model = TrainableTransformer::load(&fixture("tiny-llada"), Device::Cpu, dtype).unwrap();
    let mut optimizer = Optimizer::new(&model, OptimizerConfig::default()).unwrap();
    let rows = Rows { ids: (0..60).map(|i| i * 7919 % 500).collect(), row_length: 20, answers: None };
    for step in 1..=2 {
        let batch = Objective::Diffusion.mask(&rows, 510, true, Noise::new(5), step).unwrap();
        model.accumulate(&batch.batch()).unwrap();
        let grad_norm = model.gradient().norm().unwrap();
        optimizer.step(&mut model, step.into(), 1e-2, grad_norm).unwrap();
    }
    model
}

#[test]
fn a_model_in_training_samples_the_tokens_of_its_saved_checkpoint() {
    let mut model = learned(Dtype::F32);
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path(), Dtype::F32).unwrap();
    let saved = Transformer::load(folder.path(), Device::Cpu, Dtype::F32).unwrap();
    let special = SpecialTokens { eos: model.config().eos_token_id, eot: None };
    let mut requests = Vec::new();
    for (seed, temperature) in [(0, 0.0), (1, 0.0), (2, 0.8)] {
        let config = SamplerConfig { gen_length: 24, block_length: Some(8), temperature, seed, ..Default::default() };
        requests.push(Request::new(vec![seed as u32 + 1; 5], config));
    }
    let mut from_saved = Engine::new(saved, special);
    // Lent: the model trains on after it.
    let mut from_training = Engine::new(&mut model, special);
    for request in &requests {
        let expected = from_saved.generate(request).unwrap().output;
        assert_eq!(from_training.generate(request).unwrap().output, expected);
    }
    let mut untrained =
        Engine::new(Transformer::load(&fixture("tiny-llada"), Device::Cpu, Dtype::F32).unwrap(), special);
    let moved = |request| untrained.generate(request).unwrap().output != from_saved.generate(request).unwrap().output;
    assert!(requests.iter().any(moved), "the two steps changed no token");
}

/// Bits per token, from the cross-entropies of all maskings of a mini-batch in one forward.
fn expected(model: &mut TrainableTransformer, data: &Dataset, rows: usize, row_length: usize, mc_num: usize) -> f64 {
    let (mut nats, mut tokens) = (0.0, 0);
    for index in 0..rows {
        let row = data.read(&[index], row_length);
        let prompt = row.answers.as_ref().map_or(0, Answers::prompt_length);
        let answer = row.row_length - prompt;
        let plan = MaskingPlan::stratified(answer, mc_num, BATCH_SIZE, Noise::new(1234), index as u64).unwrap();
        let mut log_p_masked = Vec::new();
        for perturbation in plan.perturbations() {
            let mut ids = row.ids.clone();
            let wanted: Vec<usize> = perturbation.masked.iter().map(|position| prompt + position).collect();
            let targets: Vec<u32> = wanted.iter().map(|&token| ids[token]).collect();
            for &token in &wanted {
                ids[token] = model.config().mask_token_id;
            }
            let weights = vec![1.0; wanted.len()];
            let (wanted, targets, weights) = (wanted.as_slice(), targets.as_slice(), weights.as_slice());
            let batch = TrainingBatch {
                ids: &ids,
                row_lengths: &[row.row_length],
                wanted,
                targets,
                weights,
                entropy: None,
                share: 1.0,
            };
            let losses = model.cross_entropy(&batch).unwrap();
            log_p_masked.push(-losses.into_iter().map(f64::from).sum::<f64>());
        }
        nats -= plan.estimate(&log_p_masked).unwrap().log_likelihood;
        tokens += answer;
    }
    nats / tokens as f64 / std::f64::consts::LN_2
}

#[test]
fn validation_is_the_bound_under_the_same_maskings_every_time() {
    let folder = workplace();
    for kind in ["pretrain", "sft"] {
        let data = Dataset::open(&folder.path().join(kind)).unwrap();
        for (dtype, tolerance) in [(Dtype::F32, 1e-6), (Dtype::Bf16, 3e-3)] {
            let mut model = learned(dtype);
            let expected = expected(&mut model, &data, 3, 12, 20);
            let rows = ValidationSet::of_dataset(&data, 3, 12);
            let found = validate(&mut model, &rows, Objective::Diffusion, 20, &mut SingleProcess).unwrap();
            let difference = (found.bits_per_token - expected).abs();
            assert!(difference <= tolerance * expected, "{kind}, {dtype}: {}, not {expected}", found.bits_per_token);
            assert_eq!(found.bits_per_byte, found.bits_per_token / data.bytes_per_token());
        }
    }
}
