//! Every family: its goldens' logits, in f32, whole and in parts.

use std::{fs, path::Path};

use llada_core::{
    predictor::{CacheSlot, Hidden, MaskPredictor, Recompute, Row},
    rng::{Domain, Noise},
};
use llada_model::{
    Device, Dtype, Family, ModelConfig, ModelError, Precision, TrainableTransformer, Transformer, quantize,
};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    fixture, json,
    mutation::survives,
    variant::{self, set},
};

pub(crate) const FAMILIES: [(&str, Family); 6] = [
    ("tiny-llada", Family::Llada),
    ("tiny-illada", Family::Illada),
    ("tiny-llada-moe", Family::LladaMoe),
    ("tiny-llada2", Family::Llada2),
    ("tiny-dream", Family::Dream),
    ("tiny-smdm", Family::Smdm),
];

/// A copy of a fixture's config and weights, and of the files that name its special tokens.
fn copy(name: &str) -> TempDir {
    let folder = variant::copy(name);
    for file in ["tokenizer.json", "generation_config.json"] {
        let from = fixture(name).join(file);
        if from.exists() {
            fs::copy(from, folder.path().join(file)).unwrap();
        }
    }
    folder
}

/// The golden inputs of a fixture and their logits as the model gives them.
fn golden(name: &str) -> Vec<(Vec<u32>, Vec<f32>)> {
    let bytes = fs::read(fixture(name).join("golden_logits.safetensors")).unwrap();
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

fn logits<P: MaskPredictor>(model: &mut P, row: &Row<'_>) -> Vec<f32> {
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
        let mut model = Transformer::load(&fixture(name), Device::Cpu, Dtype::F32).unwrap();
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
            let mut model = Transformer::load(&fixture(name), Device::Cpu, precision).unwrap();
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

#[test]
fn a_model_in_training_predicts_and_is_saved_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in FAMILIES {
        let (ids, _) = golden(name).swap_remove(2);
        let wanted: Vec<usize> = (0..ids.len()).collect();
        let row = Row::new(&ids, &wanted);
        let mut loaded = Transformer::load(&fixture(name), Device::Cpu, Dtype::F32).unwrap();
        let expected = logits(&mut loaded, &row);
        let mut trainable = TrainableTransformer::load(&fixture(name), Device::Cpu, Dtype::F32).unwrap();
        assert_eq!(logits(&mut trainable, &row), expected, "{name}");
        let out = folder.path().join(name);
        fs::create_dir(&out).unwrap();
        trainable.save(&out, Dtype::F32).unwrap();
        let mut saved = Transformer::load(&out, Device::Cpu, Dtype::F32).unwrap();
        assert_eq!(saved.config(), loaded.config(), "{name}");
        assert_eq!(logits(&mut saved, &row), expected, "{name}");
    }
}

#[test]
fn eight_bits_are_stored_and_read_in_every_family() {
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in FAMILIES {
        let out = folder.path().join(name);
        quantize(&fixture(name), &out, |_, _| Ok::<_, ModelError>(())).unwrap();
        let (ids, expected) = golden(name).swap_remove(2);
        let shift = usize::from(ModelConfig::load(&out).unwrap().logit_shift);
        let wanted: Vec<usize> = (shift..ids.len()).collect();
        let row = Row { block_length: block_lengths(name)[2], ..Row::new(&ids, &wanted) };
        for precision in [Precision::Int8, Dtype::F32.into()] {
            let mut stored = Transformer::load(&out, Device::Cpu, precision).unwrap();
            let width = stored.padded_vocab_size();
            let expected = &expected[..wanted.len() * width];
            let error: f32 = logits(&mut stored, &row).iter().zip(expected).map(|(a, b)| (a - b).powi(2)).sum();
            let norm: f32 = expected.iter().map(|x| x * x).sum();
            assert!(error > 0.0 && error < 0.09 * norm, "{name} in {precision}: {}", (error / norm).sqrt());
        }
    }
}

#[test]
fn under_block_causal_attention_finished_blocks_are_cached_exactly() {
    let mut model = Transformer::load(&fixture("tiny-llada2"), Device::Cpu, Dtype::F32).unwrap();
    let (slot, mask) = (CacheSlot(0), model.mask_id());
    for case in 0..1000 {
        let mut random = Noise::new(case).domain(Domain::Token).stream(0, 0, 0);
        let block_length = 1 + random.below(12) as usize;
        let mut ids: Vec<u32> = Vec::new();
        for block in 0..2 + random.below(2) as usize {
            let start = ids.len();
            // The last step before saw masks in the block before, so the first of this one computes both.
            let computed = start.saturating_sub(block_length)..start + block_length;
            for id in &mut ids[computed.start..] {
                *id = if *id == mask { random.below(500) as u32 } else { *id };
            }
            for _ in 0..block_length {
                let token = random.below(500) as u32;
                ids.push(if random.below(2) == 0 { mask } else { token });
            }
            let wanted = [start + random.below(block_length as u64) as usize];
            let uncached = Row { block_length: Some(block_length), ..Row::new(&ids, &wanted) };
            let expected = logits(&mut model, &uncached);
            let recompute = if block == 0 { Recompute::All } else { Recompute::Span(computed) };
            let found = logits(&mut model, &Row { cache: Some(slot), recompute, ..uncached });
            let difference = largest_difference(&found, &expected);
            let largest = expected.iter().fold(1.0_f32, |largest, logit| largest.max(logit.abs()));
            assert!(difference < 1e-5 * largest, "case {case}, block {block}: {difference} of {largest}");
        }
        model.release(slot);
    }
}

/// What a slot holds of an unchanged row is what the rest of it sees without a cache: with shifted logits the span needs
/// the position before it too.
#[test]
fn every_family_computes_spans_over_its_cache() {
    for (name, _) in FAMILIES {
        let mut model = Transformer::load(&fixture(name), Device::Cpu, Dtype::F32).unwrap();
        let (ids, _) = golden(name).swap_remove(3);
        let (slot, all): (_, Vec<usize>) = (CacheSlot(3), (0..ids.len()).collect());
        let whole = Row { cache: Some(slot), ..Row::new(&ids, &all) };
        let expected = logits(&mut model, &whole);
        let width = model.padded_vocab_size();
        for span in [0..5, 7..19, ids.len() - 4..ids.len()] {
            let wanted: Vec<usize> = span.clone().collect();
            let row = Row { cache: Some(slot), recompute: Recompute::Span(span.clone()), ..Row::new(&ids, &wanted) };
            let difference =
                largest_difference(&logits(&mut model, &row), &expected[span.start * width..span.end * width]);
            assert!(difference < 1e-4, "{name} {span:?}: {difference}");
        }
    }
}

/// A folder of random weights for a fixture's config with other keys.
fn random_weights(name: &str, keys: &Value) -> TempDir {
    let folder = copy(name);
    set(folder.path(), keys.clone());
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("model") {
            fs::remove_file(path).unwrap();
        }
    }
    let config = ModelConfig::load(folder.path()).unwrap();
    let tensors = llada_model::expected_tensors(&config);
    let mut data = Vec::new();
    for (index, (name, shape)) in tensors.iter().enumerate() {
        let mut random = Noise::new(7).domain(Domain::Weight).stream(index as u64, 0, 0);
        let is_norm = name.contains("norm");
        let values = (0..shape.iter().product::<usize>()).map(|_| {
            let value = (random.uniform() as f32 - 0.5) * 0.3;
            if is_norm { 1.0 + value } else { value }
        });
        data.push(values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>());
    }
    let view = |((name, shape), data): (&(String, Vec<usize>), _)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap();
        (name.clone(), view)
    };
    let views: Vec<_> = tensors.iter().zip(data.iter().map(Vec::as_slice)).map(view).collect();
    safetensors::serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    folder
}

/// Shapes that no fixture has: that they load, that training sees the same model, and that int8 comes near.
#[test]
fn other_shapes_of_each_family_work_just_as_well() {
    for (name, keys) in [
        ("tiny-illada", json!({"tie_word_embeddings": false, "attention_bias": true, "mlp_bias": true})),
        ("tiny-illada", json!({"num_key_value_heads": 1, "head_dim": 24})),
        ("tiny-dream", json!({"num_key_value_heads": 1, "tie_word_embeddings": true})),
        ("tiny-llada-moe", json!({"num_key_value_heads": 1, "attention_bias": true, "clip_qkv": 0.5})),
        (
            "tiny-llada-moe",
            json!({"moe_layer_freq": [0, 1, 0], "shared_expert_intermediate_size": 48, "norm_topk_prob": true,
                   "moe_router_enable_expert_bias": true, "partial_rotary_factor": 0.5}),
        ),
        ("tiny-llada-moe", json!({"qk_layernorm": false, "num_experts_per_tok": 1, "tie_word_embeddings": true})),
        ("tiny-llada2", json!({"head_dim": 24, "num_key_value_heads": 1, "partial_rotary_factor": 0.25})),
        ("tiny-llada2", json!({"num_shared_experts": 2, "first_k_dense_replace": 2, "use_qkv_bias": true})),
        ("tiny-llada2", json!({"n_group": 1, "topk_group": 1, "use_bias": true, "tie_word_embeddings": true})),
        ("tiny-llada2", json!({"num_shared_experts": 0, "first_k_dense_replace": 0, "use_qk_norm": false})),
    ] {
        let folder = random_weights(name, &keys);
        let ids: Vec<u32> = (0..40).map(|i| i * 37 % 500).collect();
        let wanted: Vec<usize> = (0..40).collect();
        let row = Row::new(&ids, &wanted);
        let load = |precision: Precision| Transformer::load(folder.path(), Device::Cpu, precision).unwrap();
        let exact = logits(&mut load(Dtype::F32.into()), &row);
        assert!(exact.iter().all(|logit| logit.is_finite()), "{name} {keys}");
        let mut trainable = TrainableTransformer::load(folder.path(), Device::Cpu, Dtype::F32).unwrap();
        assert_eq!(logits(&mut trainable, &row), exact, "{name} {keys}");
        for precision in [Precision::Int8, Dtype::Bf16.into()] {
            let near = logits(&mut load(precision), &row);
            let error: f32 = near.iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum();
            let norm: f32 = exact.iter().map(|x| x * x).sum();
            assert!(error < 0.1 * norm, "{name} {keys} in {precision}: {}", (error / norm).sqrt());
        }
    }
}

#[test]
fn keys_that_a_family_cannot_honour_are_refused_by_name() {
    let refused = |name: &str, keys: Value| {
        let folder = copy(name);
        set(folder.path(), keys);
        ModelConfig::load(folder.path()).unwrap_err().to_string()
    };
    for (name, keys, message) in [
        ("tiny-illada", json!({"layer_norm_eps": 1e-5}), "layer_norm_eps"),
        ("tiny-illada", json!({"hidden_act": "gelu"}), "hidden_act: \"gelu\" is not supported, iLLaDA has \"silu\""),
        ("tiny-illada", json!({"rope_scaling": {"type": "linear", "factor": 2.0}}), "rope_scaling"),
        ("tiny-illada", json!({"hidden_size": null}), "hidden_size: the key is missing"),
        ("tiny-dream", json!({"num_key_value_heads": 3}), "num_key_value_heads: 3 does not divide"),
        ("tiny-dream", json!({"head_dim": 15}), "rotated in pairs"),
        ("tiny-dream", json!({"window": 3}), "window: unknown key"),
        ("tiny-dream", json!({"mask_token_id": 512}), "mask_token_id: 512 is not below vocab_size 512"),
        ("tiny-llada-moe", json!({"num_experts_per_tok": 9}), "num_experts_per_tok: 9 is more than num_experts 8"),
        ("tiny-llada-moe", json!({"moe_layer_freq": [1]}), "moe_layer_freq: 1 entries for num_hidden_layers 3"),
        ("tiny-llada-moe", json!({"moe_layer_freq": [1, 2, 1]}), "moe_layer_freq: [1,2,1] is not a list of 0 and 1"),
        ("tiny-llada-moe", json!({"router_aux_loss_coef": -0.1}), "router_aux_loss_coef: -0.1 is not a number that"),
        ("tiny-llada2", json!({"n_group": 3}), "topk_group"),
        ("tiny-llada2", json!({"score_function": "softmax"}), "score_function"),
        ("tiny-llada2", json!({"norm_topk_prob": false}), "norm_topk_prob"),
        ("tiny-llada2", json!({"num_shared_experts": 1 << 27}), "num_shared_experts"),
        ("tiny-llada2", json!({"model_type": "llada"}), "model_type"),
    ] {
        let error = refused(name, keys);
        assert!(error.contains(message), "{error:?} lacks {message:?}");
    }
}

#[test]
fn routers_have_the_auxiliary_loss_of_the_config_and_none_at_zero() {
    for (value, coefficient) in [(json!(0.5), Some(0.5)), (json!(0), None), (Value::Null, None)] {
        let folder = copy("tiny-llada-moe");
        set(folder.path(), json!({"router_aux_loss_coef": value}));
        let config = ModelConfig::load(folder.path()).unwrap();
        assert_eq!(config.moe.unwrap().router_aux_loss_coef, coefficient);
        let model = TrainableTransformer::load(folder.path(), Device::Cpu, Dtype::F32).unwrap();
        assert_eq!(model.router_aux_loss(), coefficient.map(|_| 0.0));
    }
}

#[test]
fn a_damaged_config_of_any_family_is_an_error_or_a_config() {
    for (name, _) in &FAMILIES[1..5] {
        let folder = copy(name);
        let path = folder.path().join("config.json");
        survives(24, &fs::read(&path).unwrap(), |bytes| {
            fs::write(&path, bytes).unwrap();
            let reading = ModelConfig::inspect(folder.path());
            assert!(reading.config.is_some() || !reading.problems.is_empty());
            if let Some(config) = &reading.config {
                config.parameters();
            }
            let loaded = Transformer::load(folder.path(), Device::Cpu, Dtype::F32);
            assert!(loaded.is_err() || reading.problems.is_empty());
        });
    }
}

#[test]
fn bare_weights_of_smdm_tell_their_config() {
    let folder = tempfile::tempdir().unwrap();
    let from = fixture("tiny-smdm");
    fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let config = ModelConfig::load(folder.path()).unwrap();
    assert_eq!((config.family, config.num_hidden_layers, config.hidden_size), (Family::Smdm, 3, 64));
    // Heads are 64 wide in the published models of this width.
    assert_eq!((config.num_attention_heads, config.mask_token_id, config.embedding_size), (1, 512, 513));
    assert!(Transformer::load(folder.path(), Device::Cpu, Dtype::F32).is_ok());
}

#[test]
fn a_config_that_claims_more_experts_than_there_are_tensors_is_refused_at_once() {
    let folder = copy("tiny-llada2");
    set(folder.path(), json!({"num_experts": 1 << 28, "n_group": 1, "topk_group": 1}));
    let error = Transformer::load(folder.path(), Device::Cpu, Dtype::F32).unwrap_err().to_string();
    assert!(error.contains("268435456 experts cannot be in"), "{error}");
    assert!(ModelConfig::load(folder.path()).unwrap().parameters() > 1 << 40);
    let missing: &Path = &folder.path().join("config.json");
    fs::remove_file(missing).unwrap();
    assert!(Transformer::load(folder.path(), Device::Cpu, Dtype::F32).is_err());
}
