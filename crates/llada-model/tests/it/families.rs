//! Every family: its goldens' logits, in f32, whole and in parts.

use llada_core::predictor::{Hidden, MaskPredictor, Row};
use llada_model::{Device, Dtype, Family, Llada, ModelConfig, Precision};
use safetensors::SafeTensors;

use crate::{fixture, json};

const FAMILIES: [(&str, Family); 6] = [
    ("tiny-llada", Family::Llada),
    ("tiny-illada", Family::Illada),
    ("tiny-llada-moe", Family::LladaMoe),
    ("tiny-llada2", Family::Llada2),
    ("tiny-dream", Family::Dream),
    ("tiny-smdm", Family::Smdm),
];

/// The golden inputs of a fixture and their logits as the model gives them.
fn golden(name: &str) -> Vec<(Vec<u32>, Vec<f32>)> {
    let bytes = std::fs::read(fixture(name).join("golden_logits.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut rows = Vec::new();
    for i in 0..4 {
        let ids = file.tensor(&format!("input_ids.{i}")).unwrap();
        let width = ids.data().len() / ids.shape().iter().product::<usize>();
        let ids = ids.data().chunks(width).map(|id| u32::from_le_bytes(id[..4].try_into().unwrap())).collect();
        let logits = file.tensor(&format!("logits.{i}")).unwrap();
        rows.push((ids, logits.data().chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()));
    }
    rows
}

/// The block length of each golden input, where the family has blocks.
fn block_lengths(name: &str) -> [Option<usize>; 4] {
    let lengths = &json(name, "golden.json")["logits"];
    std::array::from_fn(|i| lengths[i]["block_length"].as_u64().map(|length| length as usize))
}

fn logits(model: &mut Llada, row: &Row<'_>) -> Vec<f32> {
    let mut out = Vec::new();
    model.forward(std::slice::from_ref(row)).unwrap().logits(0, 0..row.wanted.len(), &mut out).unwrap();
    out
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).max_by(f32::total_cmp).unwrap_or(0.0)
}

#[test]
fn each_family_is_recognised() {
    for (name, family) in FAMILIES {
        assert_eq!(ModelConfig::load(&fixture(name)).unwrap().family, family, "{name}");
    }
}

#[test]
fn logits_are_those_of_each_familys_own_code() {
    for (name, _) in FAMILIES {
        let mut model = Llada::load(&fixture(name), Device::Cpu, Dtype::F32).unwrap();
        let (shift, width) = (usize::from(model.config().logit_shift), model.padded_vocab_size());
        for ((ids, expected), block_length) in golden(name).into_iter().zip(block_lengths(name)) {
            // The goldens are raw: with shifted logits those of position i predict position i + 1.
            let wanted: Vec<usize> = (shift..ids.len()).collect();
            let row = Row { block_length, ..Row::new(&ids, &wanted) };
            let found = logits(&mut model, &row);
            let difference = largest_difference(&found, &expected[..wanted.len() * width]);
            assert!(difference < 1e-4, "{name}: {difference}");
            // Nothing comes before the first position: its prediction is its own in every family.
            let first = logits(&mut model, &Row { block_length, ..Row::new(&ids, &[0]) });
            let difference = largest_difference(&first, &expected[..width]);
            assert!(difference < 1e-4, "{name}, first position: {difference}");
        }
    }
}

#[test]
fn each_family_computes_in_every_precision() {
    for (name, _) in FAMILIES {
        let (ids, expected) = golden(name).swap_remove(2);
        for precision in [Precision::from(Dtype::Bf16), Precision::Int8] {
            let mut model = Llada::load(&fixture(name), Device::Cpu, precision).unwrap();
            let (shift, width) = (usize::from(model.config().logit_shift), model.padded_vocab_size());
            let wanted: Vec<usize> = (shift..ids.len()).collect();
            let row = Row { block_length: block_lengths(name)[2], ..Row::new(&ids, &wanted) };
            let found = logits(&mut model, &row);
            let expected = &expected[..wanted.len() * width];
            let error: f32 = found.iter().zip(expected).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
            let norm: f32 = expected.iter().map(|x| x * x).sum::<f32>().sqrt();
            // A router whose scores are close may choose another expert after a rounding.
            let tolerance = if model.config().moe.is_some() { 0.3 } else { 0.1 };
            assert!(error < tolerance * norm, "{name} in {precision}: {}", error / norm);
        }
    }
}
