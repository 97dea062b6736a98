//! Folders that are not what they claim: each a clear error that names the culprit, never a panic.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use llada_core::predictor::{Hidden, MaskPredictor, Row};
use llada_model::{Device, Dtype, Llada, LladaConfig, ModelError, Precision, Weights, quantize};
use safetensors::{SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{FIXTURES, fixture};

const SHARD: &str = "model-00002-of-00002.safetensors";

/// A writable copy of the sharded fixture.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors", SHARD] {
        fs::copy(fixture("tiny-llada").join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn edit_json(path: PathBuf, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Rewrites the second shard with its tensors renamed or reshaped by `edit` (None drops one), index and all.
fn edit_shard(folder: &Path, edit: impl Fn(&str, &mut Vec<usize>) -> Option<String>) {
    let path = folder.join(SHARD);
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let mut shape = view.shape().to_vec();
        if let Some(name) = edit(&name, &mut shape) {
            tensors.insert(name, TensorView::new(view.dtype(), shape, view.data()).unwrap());
        }
    }
    fs::write(&path, safetensors::serialize(&tensors, None).unwrap()).unwrap();
    edit_json(folder.join("model.safetensors.index.json"), |index| {
        let map = index["weight_map"].as_object_mut().unwrap();
        map.retain(|_, file| file != SHARD);
        map.extend(tensors.keys().map(|name| (name.clone(), SHARD.into())));
    });
}

/// Loading `folder` fails with a message that contains every one of `parts`.
fn check(folder: &Path, parts: &[&str]) {
    let error = Llada::load(folder, Device::Cpu, Dtype::F32).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn an_untouched_copy_loads() {
    Llada::load(copy().path(), Device::Cpu, Dtype::F32).unwrap();
}

#[test]
fn missing_files_are_named() {
    let folder = copy();
    fs::remove_file(folder.path().join(SHARD)).unwrap();
    check(folder.path(), &[SHARD, "No such file"]);
    check(&folder.path().join("nowhere"), &["config.json", "No such file"]);
}

#[test]
fn tensors_missing_extra_or_misshaped_are_named() {
    let name = "model.transformer.blocks.2.up_proj.weight";
    let folder = copy();
    edit_shard(folder.path(), |found, _| (found != name).then(|| found.to_owned()));
    check(folder.path(), &[name, "missing"]);
    let folder = copy();
    edit_shard(folder.path(), |found, shape| {
        if found == name {
            shape.swap(0, 1);
        }
        Some(found.to_owned())
    });
    check(folder.path(), &[name, "[64, 160]", "[160, 64]", SHARD]);
    let folder = copy();
    edit_json(folder.path().join("config.json"), |config| config["n_layers"] = 2.into());
    check(folder.path(), &["unexpected tensor model.transformer.blocks.2.attn_norm.weight", "and 8 more"]);
}

#[test]
fn truncated_and_hostile_shards_are_refused() {
    let whole = fs::read(fixture("tiny-llada").join(SHARD)).unwrap();
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let with_header = |header: &str| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0; 64]);
        bytes
    };
    let huge = r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,64]}}"#;
    let overlap = r#"{"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]},"b":{"dtype":"F32","shape":[8],"data_offsets":[0,32]}}"#;
    let outside = r#"{"a":{"dtype":"F32","shape":[1024],"data_offsets":[0,4096]}}"#;
    for bytes in [
        Vec::new(),
        whole[..7].to_vec(),
        whole[..header / 2].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        [whole.as_slice(), &[0]].concat(),
        [&u64::MAX.to_le_bytes(), &whole[8..]].concat(),
        with_header("not json"),
        with_header("\u{0}"),
        with_header(huge),
        with_header(overlap),
        with_header(outside),
    ] {
        let folder = copy();
        fs::write(folder.path().join(SHARD), bytes).unwrap();
        check(folder.path(), &[SHARD]);
    }
}

#[test]
fn an_index_cannot_point_outside_its_folder() {
    for target in ["../model-00002-of-00002.safetensors", "/etc/passwd", "sub/model.safetensors", "", ".."] {
        let folder = copy();
        edit_json(folder.path().join("model.safetensors.index.json"), |index| {
            index["weight_map"]["model.transformer.ln_f.weight"] = target.into();
        });
        check(folder.path(), &["weight_map", "not a file in its folder"]);
    }
    let folder = copy();
    edit_json(folder.path().join("model.safetensors.index.json"), |index| {
        index["weight_map"]["model.transformer.ln_f.weight"] = SHARD.into();
    });
    check(folder.path(), &["model.transformer.ln_f.weight is not in", SHARD]);
}

#[test]
fn foreign_dtypes_are_refused() {
    let folder = copy();
    let path = folder.path().join(SHARD);
    let text = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(text[..8].try_into().unwrap()) as usize;
    let renamed = String::from_utf8(text[8..8 + header].to_vec()).unwrap().replace("\"F32\"", "\"I32\"");
    fs::write(&path, [&text[..8], renamed.as_bytes(), &text[8 + header..]].concat()).unwrap();
    check(folder.path(), &["I32", "only F32 and BF16"]);
}

#[test]
fn config_keys_are_honoured_or_refused_by_name() {
    for (key, value, message) in [
        ("rope", json!(false), "rope: false is not supported"),
        ("alibi", json!(true), "alibi: true"),
        ("block_type", json!("sequential"), "block_type: \"sequential\""),
        ("activation_type", json!("swiglu"), "activation_type"),
        ("scale_logits", json!(true), "scale_logits"),
        ("sliding_window", json!(128), "sliding_window: unknown key"),
        ("d_model", json!(-5), "d_model: -5"),
        ("d_model", json!(0), "d_model: 0 is not between"),
        ("d_model", json!(usize::MAX), "d_model: "),
        ("n_heads", json!(3), "n_heads: 3 does not divide d_model 64"),
        ("n_kv_heads", json!(3), "n_kv_heads: 3 does not divide n_heads 4"),
        ("embedding_size", json!(500), "embedding_size: 500 is less than vocab_size 512"),
        ("mask_token_id", json!(512), "mask_token_id: 512 is not below vocab_size 512"),
        ("mask_token_id", Value::Null, "mask_token_id: the key is missing"),
        ("rope_theta", json!("big"), "rope_theta: \"big\""),
        ("multi_query_attention", json!(true), "multi_query_attention: true contradicts n_kv_heads 4"),
        ("n_layers", json!(1u64 << 40), "n_layers"),
    ] {
        let folder = copy();
        edit_json(folder.path().join("config.json"), |config| config[key] = value);
        check(folder.path(), &[message]);
    }
    let folder = copy();
    fs::write(folder.path().join("config.json"), "{").unwrap();
    check(folder.path(), &["config.json", "EOF"]);
}

#[test]
fn defaults_fill_absent_keys() {
    let folder = copy();
    edit_json(folder.path().join("config.json"), |config| {
        for key in ["n_kv_heads", "embedding_size", "rms_norm_eps", "rope_full_precision"] {
            config.as_object_mut().unwrap().remove(key);
        }
    });
    let expected = LladaConfig::load(&fixture("tiny-llada")).unwrap();
    assert_eq!(LladaConfig::load(folder.path()).unwrap(), expected);
    let weights = Weights::open(folder.path()).unwrap();
    assert_eq!(weights.list().count(), llada_model::expected_tensors(&expected).len());
    assert_eq!(expected.parameters(), 207_296);
}

#[test]
fn a_quantised_checkpoint_computes_what_int8_does() {
    let folder = tempfile::tempdir().unwrap();
    for name in FIXTURES {
        let out = folder.path().join(name);
        let mut heard = Vec::new();
        quantize(&fixture(name), &out, |done, all| {
            heard.push((done, all));
            Ok::<_, ModelError>(())
        })
        .unwrap();
        assert_eq!(heard.last().map(|(done, all)| done == all), Some(true));
        let config = LladaConfig::load(&out).unwrap();
        assert!(config.is_quantized);
        assert!(Weights::open(&out).unwrap().take_all(&config).is_empty());
        let logits = |folder: &Path, precision| {
            let mut model = Llada::load(folder, Device::Cpu, precision).unwrap();
            let mut out = Vec::new();
            model.forward(&[Row::new(&[7, 1, 9, 3], &[0, 3])]).unwrap().logits(0, 0..2, &mut out).unwrap();
            out
        };
        let stored = logits(&out, Precision::Int8);
        assert_eq!(stored, logits(&fixture(name), Precision::Int8));
        let exact = logits(&fixture(name), Dtype::F32.into());
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
        let error = norm(&mut stored.iter().zip(&exact).map(|(a, b)| a - b)) / norm(&mut exact.iter().copied());
        assert!(error > 0.0 && error < 0.05, "{name}: {error}");
        check(&out, &["stored in int8", "hint: --dtype int8"]);
        let message = quantize(&out, &folder.path().join("again"), |_, _| Ok::<_, ModelError>(())).unwrap_err();
        assert!(message.to_string().contains("int8 already"), "{message}");
    }
}

#[test]
fn weights_are_readable_as_any_file_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    quantize(&fixture("tiny-llada"), &out, |_, _| Ok::<_, ModelError>(())).unwrap();
    let permissions = |path: &Path| fs::metadata(path).unwrap().permissions();
    let expected = permissions(&out.join("config.json"));
    assert!(fs::read_dir(&out).unwrap().all(|entry| permissions(&entry.unwrap().path()) == expected));
}

#[test]
fn a_quantisation_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let stopped = || ModelError::Batch { message: "stopped".to_owned() };
    let stop = |done, _| if done < 2 { Ok(()) } else { Err(stopped()) };
    quantize(&fixture("tiny-llada"), &out, stop).unwrap_err();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::create_dir(&out).unwrap();
    let error = quantize(&fixture("tiny-llada"), &out, |_, _| Ok::<_, ModelError>(())).unwrap_err();
    assert!(error.to_string().contains("is there already"), "{error}");
}

#[test]
fn quantised_weights_without_scales_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    quantize(&fixture("tiny-llada"), &out, |_, _| Ok::<_, ModelError>(())).unwrap();
    let index = out.join("model.safetensors.index.json");
    let name = "model.transformer.blocks.0.q_proj.weight_scale";
    edit_json(index, |index| drop(index["weight_map"].as_object_mut().unwrap().remove(name)));
    let shard = out.join("model-00001-of-00004.safetensors");
    let bytes = fs::read(&shard).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let kept = file.tensors().into_iter().filter(|(found, _)| found != name);
    fs::write(&shard, safetensors::serialize(kept, None).unwrap()).unwrap();
    let error = Llada::load(&out, Device::Cpu, Precision::Int8).unwrap_err().to_string();
    assert!(error.contains(name) && error.contains("missing"), "{error}");
    edit_json(out.join("config.json"), |config| config["quantization_config"]["format"] = "pack-quantized".into());
    let error = LladaConfig::load(&out).unwrap_err().to_string();
    assert!(error.contains("quantization_config") && error.contains("pack-quantized"), "{error}");
}
