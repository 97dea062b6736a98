//! Adapters against peft's results, and their files.

use std::{fs, path::Path};

use llada_core::predictor::{MaskPredictor, Row};
use llada_model::{
    AdamW, Adapter, Device, Dtype, LoraConfig, Modules, Precision, TrainableTransformer, TrainingBatch, Transformer,
    Weights,
};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::{fixture, forward, json};

const ADAPTERS: [&str; 3] = ["adapter_all", "adapter_attn", "adapter_head"];

fn adapter(name: &str) -> Adapter {
    Adapter::open(&fixture("lora").join(name)).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn ids() -> Vec<Vec<u32>> {
    serde_json::from_value(json("lora", "lora.json")["input_ids"].take()).unwrap()
}

fn golden_logits(name: &str) -> Vec<f32> {
    let bytes = fs::read(fixture("lora").join("logits.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    floats(tensors.tensor(&format!("{name}.logits")).unwrap().data())
}

fn logits<P: MaskPredictor>(model: &mut P) -> Vec<f32>
where
    P::Error: std::fmt::Debug,
{
    let ids = ids();
    let wanted: Vec<usize> = (0..ids[0].len()).collect();
    let rows: Vec<Row<'_>> = ids.iter().map(|ids| Row::new(ids, &wanted)).collect();
    forward::logits(model, &rows).concat()
}

/// Within 1e-4, relative or absolute.
#[track_caller]
fn check_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let tolerance = 1e-4 * expected.abs().max(1.0);
        assert!((found - expected).abs() <= tolerance, "{what}, {index}: {found}, expected {expected}");
    }
}

#[test]
fn golden_lora_logits_unmerged_and_merged() {
    let base = fixture("tiny-llada");
    for name in ADAPTERS {
        let (adapter, expected) = (adapter(name), golden_logits(name));
        let mut unmerged = Transformer::load_with_adapter(&base, &adapter, Device::Cpu, Dtype::F32).unwrap();
        check_close(name, &logits(&mut unmerged), &expected);
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("merged");
        llada_model::merge(&base, &adapter, &out, |_, _| Ok::<_, llada_model::ModelError>(())).unwrap();
        let mut merged = Transformer::load(&out, Device::Cpu, Dtype::F32).unwrap();
        check_close(name, &logits(&mut merged), &expected);
        check_merged(name, &out);
        let precision = Precision::Float(Dtype::F32);
        let mut training =
            TrainableTransformer::with_adapter(&base, &adapter, precision, Device::Cpu, Dtype::F32).unwrap();
        assert!(logits(&mut training) == logits(&mut unmerged), "{name}");
    }
}

/// The norms and first values of all tensors that the merge changes; every other one has its bytes.
fn check_merged(name: &str, out: &Path) {
    let golden = json("lora", "lora.json");
    let golden = golden["adapters"][name]["merged"].as_object().unwrap();
    let mut before = Weights::open(&fixture("tiny-llada")).unwrap();
    let mut after = Weights::open(out).unwrap();
    let names: Vec<(String, Vec<usize>)> = before.list().map(|(name, _, shape)| (name.to_owned(), shape)).collect();
    for (tensor, shape) in names {
        let [before, after] = [before.take(&tensor, &shape).unwrap(), after.take(&tensor, &shape).unwrap()];
        let Some(golden) = golden.get(&tensor) else {
            assert!(before.bytes() == after.bytes(), "{name} {tensor}");
            continue;
        };
        let values = floats(after.bytes());
        let norm = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        check_close(&tensor, &[norm as f32], &[golden["norm"].as_f64().unwrap() as f32]);
        let first: Vec<f32> = serde_json::from_value(golden["first"].clone()).unwrap();
        check_close(&tensor, &values[..first.len()], &first);
    }
    after.finish().unwrap();
}

#[test]
fn golden_lora_counts_what_is_trained() {
    let golden = json("lora", "lora.json");
    for name in ADAPTERS {
        let weights = adapter(name).weights().unwrap();
        let found: usize = weights.list().map(|(_, _, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!(found as u64, golden["adapters"][name]["trainable"].as_u64().unwrap(), "{name}");
        assert_eq!(adapter(name).base_model(), Some("tiny-llada"));
    }
}

/// A folder with a copy of an adapter whose config `edit` has changed.
fn edited(edit: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = fixture("lora").join("adapter_attn");
    fs::copy(from.join("adapter_model.safetensors"), folder.path().join("adapter_model.safetensors")).unwrap();
    let mut keys = json("lora/adapter_attn", "adapter_config.json");
    edit(&mut keys);
    fs::write(folder.path().join("adapter_config.json"), keys.to_string()).unwrap();
    folder
}

fn refusal(edit: impl FnOnce(&mut Value)) -> String {
    let folder = edited(edit);
    let adapter = match Adapter::open(folder.path()) {
        Ok(adapter) => adapter,
        Err(error) => return error.to_string(),
    };
    Transformer::load_with_adapter(&fixture("tiny-llada"), &adapter, Device::Cpu, Dtype::F32).unwrap_err().to_string()
}

#[test]
fn keys_that_are_not_supported_are_refused_by_name() {
    for (key, value) in [
        ("alora_invocation_tokens", serde_json::json!([1])),
        ("arrow_config", serde_json::json!({ "top_k": 3 })),
        ("bias", "all".into()),
        ("bias", "lora_only".into()),
        ("corda_config", serde_json::json!({ "cache_file": "x" })),
        ("ensure_weight_tying", true.into()),
        ("eva_config", serde_json::json!({ "rho": 2 })),
        ("fan_in_fan_out", true.into()),
        ("init_lora_weights", "pissa".into()),
        ("init_lora_weights", "olora".into()),
        ("init_lora_weights", "loftq".into()),
        ("layer_replication", serde_json::json!([[0, 2]])),
        ("loftq_config", serde_json::json!({ "loftq_bits": 4 })),
        ("lora_bias", true.into()),
        ("megatron_config", serde_json::json!({ "a": 1 })),
        ("target_parameters", serde_json::json!(["w"])),
        ("trainable_token_indices", serde_json::json!([1])),
        ("use_bdlora", true.into()),
        ("use_dora", true.into()),
        ("use_qalora", true.into()),
        ("velora_config", serde_json::json!({ "a": 1 })),
        ("a_key_of_the_future", 3.into()),
    ] {
        let error = refusal(|keys| keys[key] = value.clone());
        let expected = format!("{key}: {value} is not supported");
        assert!(error.contains("adapter_config.json") && error.contains(&expected), "{error}");
    }
}

#[test]
fn values_that_cannot_be_are_refused_by_name() {
    for (key, value, message) in [
        ("peft_type", Value::from("IA3"), "peft_type: \"IA3\" is not supported"),
        ("peft_type", Value::Null, "peft_type: the key is missing"),
        ("target_modules", Value::Null, "target_modules: the key is missing"),
        ("r", 0.into(), "r: 0 is not an integer between 1"),
        ("r", "4".into(), "r: invalid type: string"),
        ("lora_dropout", 1.into(), "lora_dropout: 1 is not in [0, 1)"),
        ("rank_pattern", serde_json::json!({ "q_proj": 0 }), "rank_pattern: 0 is not"),
        ("target_modules", "(?<=q)_proj".into(), "target_modules: regex parse error"),
        ("target_modules", ".*wte".into(), "target_modules: model.transformer.wte is among them"),
        ("target_modules", ".*ln_f".into(), "target_modules: model.transformer.ln_f is among them"),
        ("target_modules", serde_json::json!(["o_proj"]), "target_modules: no module of LLaDAModelLM"),
        ("modules_to_save", serde_json::json!(["lm_head"]), "modules_to_save: no module of LLaDAModelLM"),
        ("target_modules", serde_json::json!(["q_proj"]), "tensor model.transformer.blocks.0.up_proj.lora_A.weight"),
        (
            "target_modules",
            serde_json::json!(["q_proj", "v_proj", "up_proj", "k_proj"]),
            "k_proj.lora_A.weight is missing",
        ),
        ("rank_pattern", serde_json::json!({}), "tensor model.transformer.blocks.0.q_proj.lora_A.weight"),
    ] {
        let error = refusal(|keys| keys[key] = value.clone());
        assert!(error.contains(message), "{key} {value}: {error}");
    }
    let error = refusal(|keys| {
        keys["target_modules"] = ".*q_proj".into();
        keys["layers_to_transform"] = 1.into();
    });
    assert!(error.contains("layers_to_transform: target_modules is not a list"), "{error}");
}

#[test]
fn keys_without_effect_are_accepted() {
    let folder = edited(|keys| {
        keys["init_lora_weights"] = "gaussian".into();
        keys["task_type"] = "CAUSAL_LM".into();
        keys["a_key_of_the_future"] = Value::Null;
        keys["another_config"] = serde_json::json!({});
    });
    let expected = adapter("adapter_attn");
    assert_eq!(Adapter::open(folder.path()).unwrap().config(), expected.config());
}

/// The modules that settings choose, by the names of the tensors that a new adapter has.
fn chosen(config: &LoraConfig, model: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let precision = Precision::Float(Dtype::F32);
    let (device, dtype) = (Device::Cpu, Dtype::F32);
    TrainableTransformer::with_new_adapter(&fixture(model), config, 1, precision, device, dtype)
        .unwrap()
        .save(folder.path(), dtype)
        .unwrap();
    let weights = Adapter::open(folder.path()).unwrap().weights().unwrap();
    let names = weights.list().filter_map(|(name, ..)| name.strip_suffix(".lora_A.weight").map(str::to_owned));
    names.map(|name| name.replace("model.transformer.", "")).collect()
}

fn listed(entries: &[&str]) -> Option<Modules> {
    Some(Modules::List(entries.iter().map(|&entry| entry.to_owned()).collect()))
}

#[test]
fn modules_are_chosen_by_the_rules_of_peft() {
    let config = |modules| LoraConfig { target_modules: modules, ..LoraConfig::default() };
    // An entry is a whole name, or the end of one after a full stop.
    let trap = chosen(&config(listed(&["ff_out"])), "tiny-llada");
    assert_eq!(trap, ["blocks.0.ff_out", "blocks.1.ff_out", "blocks.2.ff_out", "ff_out"]);
    assert_eq!(
        chosen(&config(listed(&["1.ff_out", "0.q_proj"])), "tiny-llada"),
        ["blocks.0.q_proj", "blocks.1.ff_out"]
    );
    let whole = ["model.transformer.ff_out", "proj"];
    assert_eq!(chosen(&config(listed(&whole)), "tiny-llada"), ["ff_out"]);
    let regex = |text: &str| config(Some(Modules::Regex(text.to_owned())));
    assert_eq!(chosen(&regex(r".*\.[02]\.(q|k)_proj"), "tiny-llada").len(), 4);
    let excluded = LoraConfig { exclude_modules: listed(&["1.q_proj"]), ..regex(".*q_proj") };
    assert_eq!(chosen(&excluded, "tiny-llada"), ["blocks.0.q_proj", "blocks.2.q_proj"]);
    let saved = LoraConfig { modules_to_save: vec!["blocks.1".to_owned()], ..regex(".*q_proj") };
    assert_eq!(chosen(&saved, "tiny-llada"), ["blocks.0.q_proj", "blocks.2.q_proj"]);
    let layers = LoraConfig {
        layers_to_transform: Some(llada_model::OneOrMore::More(vec![0, 2])),
        ..config(listed(&["q_proj", "model.transformer.blocks.1.k_proj"]))
    };
    assert_eq!(chosen(&layers, "tiny-llada"), ["blocks.0.q_proj", "blocks.1.k_proj", "blocks.2.q_proj"]);
    let elsewhere = LoraConfig { layers_pattern: Some(llada_model::OneOrMore::One("blocks".to_owned())), ..layers };
    assert_eq!(chosen(&elsewhere, "tiny-llada").len(), 3);
}

/// An adapter of all linear layers of a fixture that eight steps of training have moved away from zero, and the model that
/// it was trained in.
fn trained(name: &str, base: Precision, dtype: Dtype) -> (tempfile::TempDir, TrainableTransformer) {
    let folder = tempfile::tempdir().unwrap();
    let config = LoraConfig { r: 3, lora_alpha: 6.0, ..LoraConfig::default() };
    let mut model =
        TrainableTransformer::with_new_adapter(&fixture(name), &config, 7, base, Device::Cpu, dtype).unwrap();
    if base == Dtype::F32.into() {
        let mut untouched = TrainableTransformer::load(&fixture(name), Device::Cpu, dtype).unwrap();
        let moved = forward::largest_difference(&sample(&mut model), &sample(&mut untouched));
        assert!(moved < 1e-4, "{name}: a new adapter moves logits by {moved}");
    }
    let ids = training_ids();
    let whole = model.weights().slice(0, 1).unwrap();
    let mut moments = [whole.zeros_like().unwrap(), whole.zeros_like().unwrap()];
    let settings = AdamW { lr: 0.03, betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.0 };
    let mut losses = Vec::new();
    for step in 1..9 {
        losses.push(model.accumulate(&batch(&ids)).unwrap().iter().sum::<f32>());
        let grad_scale = model.gradient().norm().unwrap().max(1.0);
        model.adamw(moments.each_mut(), step, settings, grad_scale).unwrap();
        model.clear_gradient().unwrap();
    }
    assert!(losses[7] < 0.8 * losses[0], "{name} {base} {dtype}: {losses:?}");
    model.save(folder.path(), Dtype::F32).unwrap();
    (folder, model)
}

fn training_ids() -> Vec<u32> {
    (0..40).map(|i| i * 37 % 500).collect()
}

fn batch(ids: &[u32]) -> TrainingBatch<'_> {
    let (wanted, targets) = (&[3, 8, 25, 33], &[5, 6, 7, 8]);
    TrainingBatch { ids, row_lengths: &[20; 2], wanted, targets, weights: &[0.5; 4], entropy: None, share: 1.0 }
}

fn sample<P: MaskPredictor>(model: &mut P) -> Vec<f32>
where
    P::Error: std::fmt::Debug,
{
    let ids: Vec<u32> = (0..30).map(|i| i * 7 % 500).collect();
    forward::logits(model, &[Row::new(&ids, &[3, 17, 29])]).concat()
}

const ALL: [&str; 7] =
    ["tiny-llada", "tiny-llada-gqa-bf16", "tiny-illada", "tiny-llada-moe", "tiny-llada2", "tiny-dream", "tiny-smdm"];

#[test]
fn every_family_has_adapters_beside_and_inside_its_weights() {
    for name in ALL {
        let (folder, mut model) = trained(name, Dtype::F32.into(), Dtype::F32);
        let adapter = Adapter::open(folder.path()).unwrap();
        let mut beside = Transformer::load_with_adapter(&fixture(name), &adapter, Device::Cpu, Dtype::F32).unwrap();
        assert!(sample(&mut beside) == sample(&mut model), "{name}");
        let mut without = Transformer::load(&fixture(name), Device::Cpu, Dtype::F32).unwrap();
        let moved = forward::largest_difference(&sample(&mut without), &sample(&mut beside));
        assert!(moved > 0.5, "{name}: {moved}");
        let out = folder.path().join("merged");
        llada_model::merge(&fixture(name), &adapter, &out, |_, _| Ok::<_, llada_model::ModelError>(())).unwrap();
        let mut inside = Transformer::load(&out, Device::Cpu, Dtype::F32).unwrap();
        // A checkpoint in bf16 rounds the sum.
        let tolerance = if name.ends_with("bf16") { 0.2 } else { 1e-3 };
        let difference = forward::largest_difference(&sample(&mut inside), &sample(&mut beside));
        assert!(difference < tolerance, "{name}: {difference}");
    }
}

#[test]
fn adapters_are_trained_over_weights_of_every_format() {
    for (base, dtype) in [
        (Dtype::Bf16.into(), Dtype::Bf16),
        (Dtype::Bf16.into(), Dtype::F32),
        (Precision::Int8, Dtype::Bf16),
        (Precision::Nf4 { double_quant: false }, Dtype::Bf16),
        (Precision::Nf4 { double_quant: true }, Dtype::Bf16),
    ] {
        for name in ["tiny-llada", "tiny-llada-moe", "tiny-llada2", "tiny-smdm", "tiny-illada"] {
            let (folder, mut model) = trained(name, base, dtype);
            if base == dtype.into() || !matches!(base, Precision::Float(_)) {
                let adapter = Adapter::open(folder.path()).unwrap();
                let mut loaded = Transformer::load_with_adapter(&fixture(name), &adapter, Device::Cpu, base).unwrap();
                assert!(sample(&mut loaded) == sample(&mut model), "{name} {base} {dtype}");
            }
        }
    }
}

#[test]
fn weights_in_eight_bits_are_merged_into_bf16() {
    let (folder, _) = trained("tiny-llada", Precision::Int8, Dtype::Bf16);
    let adapter = Adapter::open(folder.path()).unwrap();
    let (int8, out) = (folder.path().join("int8"), folder.path().join("merged"));
    llada_model::quantize(&fixture("tiny-llada"), &int8, |_, _| Ok::<_, llada_model::ModelError>(())).unwrap();
    llada_model::merge(&int8, &adapter, &out, |_, _| Ok::<_, llada_model::ModelError>(())).unwrap();
    let weights = Weights::open(&out).unwrap();
    assert!(weights.list().all(|(_, dtype, _)| dtype != safetensors::Dtype::I8));
    let base = Precision::Int8;
    let mut beside = TrainableTransformer::with_adapter(&int8, &adapter, base, Device::Cpu, Dtype::F32).unwrap();
    let mut merged = TrainableTransformer::load(&out, Device::Cpu, Dtype::F32).unwrap();
    let [beside, merged] =
        [&mut beside, &mut merged].map(|model| model.cross_entropy(&batch(&training_ids())).unwrap());
    let difference = forward::largest_difference(&beside, &merged);
    assert!(difference < 0.03, "{difference}");
    let error = llada_model::merge(&int8, &adapter, &out, |_, _| Ok::<_, llada_model::ModelError>(())).unwrap_err();
    assert!(error.to_string().contains("is there already"), "{error}");
}

#[test]
fn golden_nf4_logits_of_qlora() {
    let golden = json("quant", "nf4.json");
    let expected: Vec<f32> = serde_json::from_value(golden["qlora"]["first_logits"].clone()).unwrap();
    let base = Precision::Nf4 { double_quant: false };
    let mut model = TrainableTransformer::with_adapter(
        &fixture("tiny-llada"),
        &adapter("adapter_all"),
        base,
        Device::Cpu,
        Dtype::F32,
    )
    .unwrap();
    check_close("logits", &logits(&mut model)[..expected.len()], &expected);
}

#[test]
fn tied_heads_and_dropout_on_experts_are_refused_by_module() {
    let refusal = |model: &str, config: LoraConfig| {
        let base = Dtype::F32.into();
        let model = TrainableTransformer::with_new_adapter(&fixture(model), &config, 0, base, Device::Cpu, Dtype::F32);
        model.map(|_| ()).unwrap_err().to_string()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let tied = "lm_head is among them, and it is the embedding's transpose";
    let target_modules = Some(Modules::List(names(&["q_proj", "lm_head"])));
    let error = refusal("tiny-illada", LoraConfig { target_modules, ..LoraConfig::default() });
    assert_eq!(error, format!("adapter: target_modules: {tied}"));
    let modules_to_save = names(&["lm_head"]);
    let error = refusal("tiny-illada", LoraConfig { modules_to_save, ..LoraConfig::default() });
    assert_eq!(error, format!("adapter: modules_to_save: {tied}"));
    for model in ["tiny-llada-moe", "tiny-llada2"] {
        let error = refusal(model, LoraConfig { lora_dropout: 0.1, ..LoraConfig::default() });
        let expected = ["adapter: lora_dropout: model.layers.", ".mlp.experts.0.", " has an adapter, and inputs of"];
        assert!(expected.iter().all(|part| error.contains(part)), "{model}: {error}");
    }
}
