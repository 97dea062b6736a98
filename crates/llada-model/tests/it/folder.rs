//! Folders that hold something else than a checkpoint, or the same in other words.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use llada_core::predictor::{Hidden, MaskPredictor, Row};
use llada_model::{Device, Dtype, Transformer, Weights};
use safetensors::{Dtype as Stored, SafeTensors, tensor::TensorView};
use serde_json::json;

use crate::{
    fixture, told,
    variant::{copy, edit_json, set},
};

const NAME: &str = "tiny-llada-gqa-bf16";
const SINGLE: &str = "model.safetensors";
const INV_FREQ: &str = "model.transformer.blocks.1.rotary_emb.inv_freq";

fn refuses(folder: &Path, parts: &[&str]) {
    let error = told(&Transformer::load(folder, Device::Cpu, Dtype::F32).unwrap_err());
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

fn logits(folder: &Path) -> Vec<f32> {
    let mut model = Transformer::load(folder, Device::Cpu, Dtype::F32).unwrap();
    let mut out = Vec::new();
    model.forward(&[Row::new(&[7, 1, 9], &[0, 2])]).unwrap().logits(0, 0..2, &mut out).unwrap();
    out
}

/// Rewrites the weights with other names, and one more tensor.
fn rewrite(folder: &Path, rename: impl Fn(&str) -> String, more: Option<(&str, TensorView<'_>)>) {
    let path = folder.join(SINGLE);
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: BTreeMap<String, TensorView<'_>> =
        file.tensors().into_iter().map(|(name, view)| (rename(&name), view)).collect();
    tensors.extend(more.map(|(name, view)| (name.to_owned(), view)));
    fs::write(path, safetensors::serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn wrappers_prefixes_are_taken_off_if_every_name_has_them() {
    let expected = logits(&fixture(NAME));
    for prefix in ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."] {
        let folder = copy(NAME);
        rewrite(folder.path(), |name| format!("{prefix}{name}"), None);
        assert_eq!(logits(folder.path()), expected, "{prefix}");
    }
    let folder = copy(NAME);
    let last = |name: &str| name.contains("ln_f");
    rewrite(folder.path(), |name| if last(name) { format!("module.{name}") } else { name.to_owned() }, None);
    refuses(folder.path(), &["model.transformer.ln_f.weight", "is missing"]);
    let mut weights = Weights::open(folder.path()).unwrap();
    let config = llada_model::ModelConfig::load(folder.path()).unwrap();
    let problems: Vec<String> = weights.check(&config).iter().map(ToString::to_string).collect();
    assert!(problems[1].contains("unexpected tensor module.model.transformer.ln_f.weight"), "{problems:?}");
}

#[test]
fn buffers_of_frequencies_are_let_go_if_rope_theta_says_the_same() {
    let expected = logits(&fixture(NAME));
    let frequencies = |theta: f64| (0..8).map(move |pair| theta.powf(-2.0 * f64::from(pair) / 16.0));
    let f32 = |theta| frequencies(theta).flat_map(|x| (x as f32).to_le_bytes()).collect::<Vec<u8>>();
    let bf16 = |theta| frequencies(theta).flat_map(|x| bf16::from_f64(x).to_le_bytes()).collect::<Vec<u8>>();
    let f16 = |theta| frequencies(theta).flat_map(|x| f16::from_f64(x).to_le_bytes()).collect::<Vec<u8>>();
    let stored = [(Stored::F32, f32(10_000.0)), (Stored::BF16, bf16(10_000.0)), (Stored::F16, f16(10_000.0))];
    for (dtype, bytes) in &stored {
        let folder = copy(NAME);
        rewrite(folder.path(), str::to_owned, Some((INV_FREQ, TensorView::new(*dtype, vec![8], bytes).unwrap())));
        assert_eq!(logits(folder.path()), expected, "{dtype:?}");
    }
    let short = &f32(10_000.0)[..28];
    let scaled = f32(11_000.0);
    for (shape, bytes) in [(7, short), (8, &scaled)] {
        let folder = copy(NAME);
        rewrite(
            folder.path(),
            str::to_owned,
            Some((INV_FREQ, TensorView::new(Stored::F32, vec![shape], bytes).unwrap())),
        );
        refuses(folder.path(), &[INV_FREQ, "rotates otherwise than rope_theta 10000"]);
    }
}

#[test]
fn a_single_file_goes_before_an_index() {
    let folder = copy(NAME);
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map": {"a": "model-00001-of-00001.safetensors"}}"#).unwrap();
    fs::write(folder.path().join("model-00001-of-00001.safetensors"), "no safetensors").unwrap();
    fs::write(folder.path().join("training_args.bin"), "").unwrap();
    assert_eq!(logits(folder.path()), logits(&fixture(NAME)));
    let unread = Weights::open(folder.path()).unwrap().unread_files().unwrap();
    assert_eq!(unread, ["model-00001-of-00001.safetensors", "model.safetensors.index.json"]);
    assert!(Weights::open(&fixture("tiny-llada")).unwrap().unread_files().unwrap() == ["golden_logits.safetensors"]);
}

#[test]
fn an_adapter_is_named_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "peft_type": "LORA", "base_model_name_or_path": "GSAI-ML/LLaDA-8B-Base" });
    fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    fs::write(folder.path().join("adapter_model.safetensors"), "").unwrap();
    refuses(
        folder.path(),
        &["a PEFT adapter to GSAI-ML/LLaDA-8B-Base, not a model\nhint: open GSAI-ML", "as its adapter"],
    );
    fs::write(folder.path().join("adapter_config.json"), "{").unwrap();
    refuses(folder.path(), &["a PEFT adapter to its base model"]);
    // Beside whole weights too: whether they have it in them, nobody can tell.
    let folder = copy(NAME);
    fs::write(folder.path().join("adapter_config.json"), "{}").unwrap();
    refuses(folder.path(), &["a PEFT adapter"]);
}

#[test]
fn weights_in_other_formats_are_named() {
    for (file, parts) in [
        ("pytorch_model.bin", &["its weights are in pytorch_model.bin", "hint: ", "safe_serialization=True"][..]),
        ("consolidated.00.pth", &["its weights are in consolidated.00.pth"]),
        ("model.pt", &["its weights are in model.pt"]),
        ("llada-q8_0.gguf", &["its weights are in llada-q8_0.gguf"]),
        ("weights.safetensors", &["it has weights.safetensors, but neither model.safetensors nor", "hint: "]),
        ("optimizer.pt", &["cannot read", "model.safetensors", "No such file"]),
        ("README.md", &["cannot read", "model.safetensors", "No such file"]),
    ] {
        let folder = copy(NAME);
        fs::rename(folder.path().join(SINGLE), folder.path().join(file)).unwrap();
        refuses(folder.path(), parts);
    }
}

#[test]
fn pointers_of_git_lfs_are_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 16000000000\n";
    for file in [SINGLE, "config.json"] {
        let folder = copy(NAME);
        fs::write(folder.path().join(file), pointer).unwrap();
        refuses(folder.path(), &[file, "a git-lfs pointer, not the file that it stands for\nhint: git lfs pull"]);
    }
    let folder = copy("tiny-llada");
    fs::write(folder.path().join("model-00002-of-00002.safetensors"), pointer).unwrap();
    refuses(folder.path(), &["model-00002-of-00002.safetensors", "a git-lfs pointer"]);
}

#[test]
fn a_file_is_no_folder() {
    let file: PathBuf = fixture(NAME).join(SINGLE);
    refuses(&file, &["model.safetensors: a file, not the folder of a checkpoint\nhint: its folder, ", NAME]);
}

#[test]
fn a_link_that_leads_nowhere_is_a_file_that_is_missing() {
    let folder = copy(NAME);
    fs::remove_file(folder.path().join(SINGLE)).unwrap();
    std::os::unix::fs::symlink("../../blobs/absent", folder.path().join(SINGLE)).unwrap();
    refuses(folder.path(), &["cannot read", "model.safetensors", "No such file"]);
}

#[test]
fn a_shape_that_only_the_index_has_is_told() {
    let folder = copy("tiny-llada");
    edit_json(folder.path().join("model.safetensors.index.json"), |index| index["weight_map"] = json!({}));
    refuses(folder.path(), &["layers cannot be in 0 tensors"]);
    set(folder.path(), json!({ "n_layers": 1 }));
    refuses(folder.path(), &["n_layers: 1 layers cannot be in 0 tensors"]);
}
