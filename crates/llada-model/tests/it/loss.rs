//! The objectives through the model: the reference's pre-training and SFT losses from given t and u.

use llada_core::{
    masking::{forward_process, restore_prompts},
    objective::{loss, pretraining_weights, sft_weights},
    predictor::{Hidden, MaskPredictor, Row},
    sampling::log_softmax_at,
};
use llada_model::{Device, Dtype, Transformer};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{FIXTURES, fixture, json};

fn field<T: DeserializeOwned>(case: &Value, key: &str) -> T {
    serde_json::from_value(case[key].clone()).unwrap()
}

/// −log p of every token of the batch where `masked_indices`, 0 elsewhere.
fn cross_entropy(model: &mut Transformer, ids: &[u32], noisy: &[u32], masked: &[bool], length: usize) -> Vec<f32> {
    let mut out = vec![0.0; ids.len()];
    let mut logits = Vec::new();
    for start in (0..ids.len()).step_by(length) {
        let wanted: Vec<usize> = (0..length).filter(|i| masked[start + i]).collect();
        let row = Row::new(&noisy[start..start + length], &wanted);
        model.forward(&[row]).unwrap().logits(0, 0..wanted.len(), &mut logits).unwrap();
        for (logits, position) in logits.chunks(model.padded_vocab_size()).zip(&wanted) {
            out[start + position] = -log_softmax_at(logits, ids[start + position]) as f32;
        }
    }
    out
}

#[test]
fn losses_equal_the_reference() {
    for name in FIXTURES {
        let mut model = Transformer::load(&fixture(name), Device::Cpu, Dtype::F32).unwrap();
        for case in json(name, "golden.json")["loss"].as_array().unwrap() {
            let rows: Vec<Vec<u32>> = field(case, "input_ids");
            let u: Vec<Vec<f64>> = field(case, "u");
            let prompts: Option<Vec<usize>> = field(case, "prompt_lengths");
            let (ids, u, lengths) = (rows.concat(), u.concat(), vec![rows[0].len(); rows.len()]);
            let t: Vec<f32> = field(case, "t");
            let mut noisy = forward_process(&ids, &lengths, &t, &u, model.mask_id(), field(case, "eps")).unwrap();
            let weights = match &prompts {
                Some(prompts) => {
                    restore_prompts(&mut noisy, &ids, &lengths, prompts).unwrap();
                    sft_weights(&noisy, &lengths, prompts)
                }
                None => pretraining_weights(&noisy, &lengths),
            };
            let entropy = cross_entropy(&mut model, &ids, &noisy.noisy_batch, &noisy.masked_indices, lengths[0]);
            let found = loss(&entropy, &weights.unwrap()).unwrap();
            let expected: f64 = field(case, "loss");
            assert!((found - expected).abs() <= 1e-4 * expected, "{name}: {found} is not {expected}");
        }
    }
}
