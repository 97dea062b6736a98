//! Folders that are not what they claim: each a clear error that names the culprit, never a panic.

use std::{collections::BTreeMap, fs, path::Path};

use llada_core::predictor::{Hidden, MaskPredictor, Row};
use llada_model::{Device, Dtype, Int8Kernel, ModelConfig, ModelError, Precision, Transformer, Weights, quantize};
use safetensors::{SafeTensors, tensor::TensorView};
use tempfile::TempDir;

use crate::{
    FIXTURES, fixture,
    variant::{self, edit_json, safetensors_with_header},
};

const SHARD: &str = "model-00002-of-00002.safetensors";

/// A writable copy of the sharded fixture.
fn copy() -> TempDir {
    variant::copy("tiny-llada")
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
    let error = Transformer::load(folder, Device::Cpu, Dtype::F32).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn an_untouched_copy_loads() {
    Transformer::load(copy().path(), Device::Cpu, Dtype::F32).unwrap();
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
    let with_header = |header: &str| safetensors_with_header(header.as_bytes(), &[0; 64]);
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
        let config = ModelConfig::load(&out).unwrap();
        assert!(config.is_quantized);
        assert!(Weights::open(&out).unwrap().check(&config).is_empty());
        let logits = |folder: &Path, precision| {
            let mut model = Transformer::load(folder, Device::Cpu, precision).unwrap();
            let mut out = Vec::new();
            model.forward(&[Row::new(&[7, 1, 9, 3], &[0, 3])]).unwrap().logits(0, 0..2, &mut out).unwrap();
            out
        };
        let stored = logits(&out, Precision::Int8);
        if Int8Kernel::best().is_some() {
            assert_eq!(stored, logits(&fixture(name), Precision::Int8));
        }
        let exact = logits(&fixture(name), Dtype::F32.into());
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
        let error = norm(&mut stored.iter().zip(&exact).map(|(a, b)| a - b)) / norm(&mut exact.iter().copied());
        assert!(error > 0.0 && error < 0.05, "{name}: {error}");
        // Dequantised, the stored weights are the exact ones but for their rounding.
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let dequantised = logits(&out, dtype.into());
            let error =
                norm(&mut dequantised.iter().zip(&exact).map(|(a, b)| a - b)) / norm(&mut exact.iter().copied());
            assert!(error > 0.0 && error < 0.05, "{name} in {dtype}: {error}");
        }
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
    let error = Transformer::load(&out, Device::Cpu, Precision::Int8).unwrap_err().to_string();
    assert!(error.contains(name) && error.contains("missing"), "{error}");
    edit_json(out.join("config.json"), |config| config["quantization_config"]["format"] = "pack-quantized".into());
    let error = ModelConfig::load(&out).unwrap_err().to_string();
    assert!(error.contains("quantization_config") && error.contains("pack-quantized"), "{error}");
}
