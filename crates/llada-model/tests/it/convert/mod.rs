//! Conversions of small autoregressive checkpoints that the tests write: the converted model under a causal mask computes
//! what transformers computes for the original, from a folder as from a GGUF file.

mod gguf;
mod refusals;
mod sample;
mod spm;
mod tokens;

use std::{fs, path::Path};

use llada_core::{
    predictor::{Hidden, MaskPredictor, Row},
    sampling::argmax,
};
use llada_model::{
    AttentionPattern, Conversion, Converted, Device, Dtype, Family, ModelConfig, ModelError, TrainableTransformer,
    Transformer, convert,
};
use serde_json::Value;
use tempfile::TempDir;

use self::sample::{SAMPLES, Sample};

/// What `golden.py` beside it has computed.
fn golden() -> Value {
    serde_json::from_str(include_str!("../../fixtures/convert/golden.json")).unwrap()
}

fn in_f32() -> Conversion {
    Conversion { dtype: Dtype::F32, ..Conversion::default() }
}

/// Converts `input` to the folder `out`.
fn run(input: &Path, out: &Path, conversion: &Conversion) -> Result<Converted, ModelError> {
    convert(input, out, conversion, |_, _| Ok(()))
}

/// The converted model of a sample under a causal mask.
fn causal(out: &Path) -> Transformer {
    let model = Transformer::load(out, Device::Cpu, Dtype::F32).unwrap();
    model.without_logit_shift().with_attention(AttentionPattern::Causal)
}

fn logits(model: &mut Transformer, ids: &[u32]) -> Vec<f32> {
    let wanted: Vec<usize> = (0..ids.len()).collect();
    let mut logits = Vec::new();
    model.forward(&[Row::new(ids, &wanted)]).unwrap().logits(0, 0..ids.len(), &mut logits).unwrap();
    logits
}

/// Compares the logits of a converted model with the golden ones, and what it goes on with.
fn check(sample: &Sample, out: &Path) {
    let golden = golden();
    let expected = &golden[sample.name];
    let ids: Vec<u32> = serde_json::from_value(golden["ids"].clone()).unwrap();
    let rows: Vec<Vec<f32>> = serde_json::from_value(expected["logits"].clone()).unwrap();
    let mut model = causal(out);
    let found = logits(&mut model, &ids);
    // The mask's logit is the last of a row.
    for (found, expected) in found.chunks(sample::VOCABULARY + 1).zip(&rows) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-5, "{}: {found} {expected}", sample.name);
        }
    }
    let mut text = ids;
    for next in expected["greedy"].as_array().unwrap() {
        let last = logits(&mut model, &text)[(text.len() - 1) * (sample::VOCABULARY + 1)..].to_vec();
        text.push(argmax(&last[..sample::VOCABULARY]));
        assert_eq!(u64::from(text[text.len() - 1]), next.as_u64().unwrap(), "{}", sample.name);
    }
}

fn written(sample: &Sample) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    sample.write_folder(folder.path());
    folder
}

#[test]
fn a_converted_folder_is_the_model_that_it_was_made_of() {
    for sample in SAMPLES {
        let folder = written(&sample);
        let families = [
            (in_f32(), Some(if sample.name == "qwen3" { Family::LladaMoe } else { Family::Illada })),
            (Conversion { logit_shift: true, ..in_f32() }, (sample.name != "qwen3").then_some(Family::Dream)),
            (Conversion { block_causal: true, ..in_f32() }, Some(Family::Llada2)),
        ];
        for (conversion, family) in families {
            let out = folder.path().join(format!("{}{}", conversion.logit_shift, conversion.block_causal));
            let converted = run(folder.path(), &out, &conversion);
            let Some(family) = family else {
                assert!(matches!(converted, Err(ModelError::Conversion { .. })) && !out.exists());
                continue;
            };
            let converted = converted.unwrap();
            assert_eq!((converted.config.family, converted.mask_is_new), (family, true));
            assert_eq!(converted.config.logit_shift, conversion.logit_shift);
            assert_eq!(converted.config.mask_token_id as usize, sample::VOCABULARY);
            assert_eq!(ModelConfig::load(&out).unwrap(), converted.config);
            check(&sample, &out);
            let model = TrainableTransformer::load(&out, Device::Cpu, Dtype::F32).unwrap();
            assert_eq!(*model.config(), converted.config);
        }
    }
}

#[test]
fn without_the_causal_mask_positions_see_what_follows() {
    let sample = &SAMPLES[0];
    let folder = written(sample);
    let out = folder.path().join("out");
    run(folder.path(), &out, &in_f32()).unwrap();
    let mut model = Transformer::load(&out, Device::Cpu, Dtype::F32).unwrap();
    let (full, longer) = (logits(&mut model, &[1, 5, 7]), logits(&mut model, &[1, 5, 7, 2]));
    assert_ne!(full[0], longer[0]);
    let mut model = causal(&out);
    let (first, longer) = (logits(&mut model, &[1, 5, 7]), logits(&mut model, &[1, 5, 7, 2]));
    assert!((first[0] - longer[0]).abs() < 1e-6);
}

#[test]
fn the_row_of_a_new_mask_is_the_mean_of_all_rows() {
    for sample in SAMPLES {
        let folder = written(&sample);
        let out = folder.path().join("out");
        run(folder.path(), &out, &in_f32()).unwrap();
        for name in ["model.embed_tokens.weight", "lm_head.weight"] {
            if name == "lm_head.weight" && sample.tied {
                continue;
            }
            let rows = sample::values(name, sample::VOCABULARY * sample::WIDTH);
            let mut weights = llada_model::Weights::open(&out).unwrap();
            let stored = weights.take(name, &[sample::VOCABULARY + 1, sample::WIDTH]).unwrap();
            let stored: Vec<f32> =
                stored.bytes().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            assert_eq!(stored[..rows.len()], rows);
            for column in 0..sample::WIDTH {
                let sum: f64 = rows[column..].iter().step_by(sample::WIDTH).map(|value| f64::from(*value)).sum();
                let mean = (sum / sample::VOCABULARY as f64) as f32;
                assert_eq!(stored[rows.len() + column], mean, "{name} {column}");
            }
        }
    }
}

#[test]
fn half_precision_and_copies_of_a_tied_head_are_read() {
    let sample = &SAMPLES[0];
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = sample.tensors();
    let head = tensors.iter().find(|tensor| tensor.name == "model.embed_tokens.weight").unwrap().clone();
    tensors.push(sample::Tensor { name: "lm_head.weight".to_owned(), ..head });
    for tensor in &mut tensors {
        tensor.values.iter_mut().for_each(|value| *value = half::f16::from_f32(*value).to_f32());
    }
    sample.write_config(folder.path());
    let path = folder.path().join("model.safetensors");
    sample::write(&path, &tensors, safetensors::Dtype::F16, |value| half::f16::from_f32(value).to_le_bytes().to_vec());
    let out = folder.path().join("out");
    run(folder.path(), &out, &in_f32()).unwrap();
    let mut weights = llada_model::Weights::open(&out).unwrap();
    let name = "model.layers.1.mlp.up_proj.weight";
    let stored = weights.take(name, &[sample::HIDDEN, sample::WIDTH]).unwrap();
    let expected = tensors.iter().find(|tensor| tensor.name == name).unwrap();
    let bytes: Vec<u8> = expected.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(stored.bytes(), bytes);
    assert!(fs::read_to_string(out.join("config.json")).unwrap().contains("\"torch_dtype\": \"float32\""));
}
