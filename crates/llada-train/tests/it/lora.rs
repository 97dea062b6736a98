//! Training of adapters: losses, gradients and steps as peft and PyTorch computed them, and runs.

use std::fs;

use llada_core::{
    objective::loss,
    predictor::{Hidden, MaskPredictor, Row},
};
use llada_model::{Adapter, Device, Dtype, Precision, TrainableTransformer, Transformer};
use llada_train::{
    config::{RunConfig, Training},
    metrics,
    objective::{MaskedBatch, Rows},
    optimizer::{Optimizer, OptimizerConfig},
    run::{Outcome, Run},
};
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value;
use toml::Table;

use crate::{
    fixture,
    run::{bytes, config, train, workplace},
    told,
};

const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Step {
    input_ids: Vec<Vec<u32>>,
    t: Vec<f32>,
    u: Vec<Vec<f64>>,
}

fn json(name: &str, file: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(name).join(file)).unwrap()).unwrap()
}

fn steps() -> Vec<Step> {
    serde_json::from_value(json("tiny-llada", "golden_train.json")["steps"].take()).unwrap()
}

/// tiny-llada, frozen in the format of `base`, with a golden adapter in training.
pub(crate) fn load(adapter: &str, base: Precision) -> TrainableTransformer {
    let adapter = Adapter::open(&fixture("lora").join(adapter)).unwrap();
    TrainableTransformer::with_adapter(&fixture("tiny-llada"), &adapter, base, Device::Cpu, Dtype::F32).unwrap()
}

fn accumulate(model: &mut TrainableTransformer, step: &Step) -> f64 {
    let row_length = step.input_ids[0].len();
    let rows = Rows { ids: step.input_ids.concat(), row_length, answers: None };
    let masked = MaskedBatch::diffusion(&rows, &step.t, &step.u.concat(), model.config().mask_token_id).unwrap();
    let batch = masked.batch();
    loss(&model.accumulate(&batch).unwrap(), batch.weights).unwrap()
}

#[track_caller]
fn check_close(what: &str, found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let tolerance = TOLERANCE * expected.abs().max(1.0);
    assert!((found - expected).abs() <= tolerance, "{what}: {found}, expected {expected}");
}

/// The tensors of a set, by name.
fn tensors(parameters: &llada_model::Parameters) -> Vec<(String, Vec<f64>)> {
    let folder = tempfile::tempdir().unwrap();
    parameters.write(folder.path(), Dtype::F32).unwrap();
    let bytes = fs::read(folder.path().join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let read = |data: &[u8]| data.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()).into()).collect();
    file.tensors().into_iter().map(|(name, view)| (name, read(view.data()))).collect()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn check_first_step(what: &str, model: &mut TrainableTransformer, golden: &Value) {
    for activation_checkpointing in [false, true] {
        model.set_activation_checkpointing(activation_checkpointing);
        model.clear_gradient().unwrap();
        check_close(what, accumulate(model, &steps()[0]), &golden["loss"]);
        check_close(what, model.gradient().norm().unwrap(), &golden["grad_norm"]);
        let norms = golden["grad_norms"].as_object().unwrap();
        let found = tensors(model.gradient());
        assert_eq!(found.len(), norms.len());
        for (name, gradient) in found {
            check_close(&format!("{what} {name}"), norm(&gradient), &norms[&name]);
        }
    }
}

#[test]
fn golden_lora_losses_and_gradients() {
    let golden = json("lora", "lora.json");
    for name in ["adapter_all", "adapter_attn", "adapter_head"] {
        check_first_step(name, &mut load(name, Dtype::F32.into()), &golden["adapters"][name]);
    }
}

#[test]
fn golden_lora_six_steps_of_adamw() {
    let golden = json("lora", "lora.json");
    let golden = &golden["train"];
    let mut model = load("adapter_all", Dtype::F32.into());
    let mut optimizer = Optimizer::new(&model, OptimizerConfig::default()).unwrap();
    for (index, step) in steps().iter().enumerate() {
        let expected = &golden["steps"][index];
        check_close("loss", accumulate(&mut model, step), &expected["loss"]);
        let grad_norm = model.gradient().norm().unwrap();
        check_close("norm", grad_norm, &expected["grad_norm"]);
        optimizer.step(&mut model, index as u64 + 1, expected["lr"].as_f64().unwrap(), grad_norm).unwrap();
    }
    let after = golden["after"].as_object().unwrap();
    for (name, values) in tensors(model.weights()) {
        let expected = &after[&name];
        check_close(&name, norm(&values), &expected["norm"]);
        for (found, expected) in values.iter().zip(expected["first"].as_array().unwrap()) {
            check_close(&name, *found, expected);
        }
    }
}

#[test]
fn golden_nf4_loss_and_gradients_of_qlora() {
    let golden = json("quant", "nf4.json");
    let mut model = load("adapter_all", Precision::Nf4 { double_quant: false });
    check_first_step("qlora", &mut model, &golden["qlora"]);
}

#[test]
fn a_resumed_run_of_an_adapter_equals_an_uninterrupted_one() {
    let folder = workplace();
    for (kind, base, keys) in [
        (Training::Pretrain, "f32", "ema_decay = 0.9\nmicro_batch_size = 4"),
        (Training::Sft, "int8", "activation_checkpointing = true\ndtype = \"bf16\""),
        (Training::Sft, "nf4-double", "dtype = \"bf16\"\nmicro_batch_size = 2"),
    ] {
        let keys = format!(
            "steps = 10\nbase_dtype = \"{base}\"\n{keys}\n[adapter]\nr = 4\nlora_alpha = 8\nlora_dropout = 0.1\n\
             modules_to_save = [\"ln_f\"]\nrank_pattern = {{ q_proj = 2 }}"
        );
        let whole = config(folder.path(), kind, &format!("whole-{base}"), &keys);
        train(&whole, kind, 0).unwrap();
        let parts = config(folder.path(), kind, &format!("parts-{base}"), &keys);
        let (_, outcome) = train(&parts, kind, 5).unwrap();
        assert_eq!(outcome, Outcome::Stopped(parts.out.join("checkpoints/step-00000005")));
        let (run, outcome) = train(&parts, kind, 0).unwrap();
        assert_eq!((run.steps_made(), outcome), (10, Outcome::Finished(parts.out.join("adapter"))));
        assert!(bytes(&whole) == bytes(&parts), "{base}");
        let files = ["adapter/adapter_model.safetensors", "adapter/adapter_config.json"];
        for file in files.map(|file| [&whole, &parts].map(|config| fs::read(config.out.join(file)).unwrap())) {
            assert!(file[0] == file[1], "{base}");
        }
    }
}

fn losses(config: &RunConfig) -> Vec<f64> {
    metrics::read(&config.out.join("metrics.jsonl")).unwrap().iter().map(|line| line.loss).collect()
}

#[test]
fn what_is_dropped_does_not_depend_on_the_division_of_a_batch() {
    let folder = workplace();
    let kind = Training::Pretrain;
    let run = |name: &str, dropout: f64, micro_batch_size: usize| {
        let keys = format!(
            "steps = 3\nrandom_length = false\nmicro_batch_size = {micro_batch_size}\nschedule.lr = 0.01\n\
             [adapter]\nlora_dropout = {dropout}"
        );
        let config = config(folder.path(), kind, name, &keys);
        train(&config, kind, 0).unwrap();
        losses(&config)
    };
    let whole = run("whole", 0.5, 6);
    for (whole, parts) in whole.iter().zip(run("parts", 0.5, 2)) {
        assert!((whole - parts).abs() < 1e-4, "{whole} {parts}");
    }
    let without = run("without", 0.0, 6);
    assert_eq!(whole[0], without[0], "B is zero at first");
    assert!((whole[2] - without[2]).abs() > 1e-3, "{whole:?} {without:?}");
}

#[test]
fn the_exported_adapter_is_what_was_trained() {
    let folder = workplace();
    let kind = Training::Pretrain;
    let config = config(folder.path(), kind, "run", "steps = 4\nschedule.lr = 0.05\n[adapter]\nr = 2");
    let (mut run, _) = train(&config, kind, 0).unwrap();
    let adapter = Adapter::open(&config.out.join("adapter")).unwrap();
    assert_eq!(adapter.base_model(), Some(fixture("tiny-llada").display().to_string().as_str()));
    let mut loaded = Transformer::load_with_adapter(&fixture("tiny-llada"), &adapter, Device::Cpu, Dtype::F32).unwrap();
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let row = [Row::new(&[510, 7, 510], &[0, 2])];
    run.model_mut().forward(&row).unwrap().logits(0, 0..2, &mut expected).unwrap();
    loaded.forward(&row).unwrap().logits(0, 0..2, &mut found).unwrap();
    assert!(found == expected);
}

#[test]
fn settings_of_adapters_that_cannot_be_honoured_are_refused() {
    let folder = workplace();
    let kind = Training::Pretrain;
    let table = |text: &str| text.parse::<Table>().unwrap();
    for (keys, message) in [
        ("base_dtype = \"nf4\"", "base_dtype is nf4"),
        ("base_dtype = \"fp4\"\n[adapter]", "unknown dtype \"fp4\""),
        ("[adapter]\nrank = 4", "unknown field `rank`"),
        ("[adapter]\nr = 0", "adapter: r: 0 is not"),
        ("[adapter]\nlora_dropout = 1.5", "lora_dropout: 1.5 is not in [0, 1)"),
    ] {
        let base = table("out = \"o\"\ndata = \"d\"\ninit = \"i\"\nsteps = 1");
        let error = told(&RunConfig::from_tables(kind, [base, table(keys)]).unwrap_err());
        assert!(error.contains(message), "{error}");
    }
    let without = table("out = \"o\"\ndata = \"d\"\nsteps = 1\n[adapter]");
    let error = told(&RunConfig::from_tables(kind, [without]).unwrap_err());
    assert!(error.contains("adapter is given\nhint: give init too"), "{error}");
    for (keys, message) in [
        ("target_modules = [\"o_proj\"]", "target_modules: no module of LLaDAModelLM"),
        ("target_modules = [\"ff_out\"]\nlora_dropout = 0.1", "lora_dropout: model.transformer.ff_out has an adapter"),
        ("target_modules = \"(\"", "target_modules: regex parse error"),
    ] {
        let config = config(folder.path(), kind, "refused", &format!("steps = 1\n[adapter]\n{keys}"));
        let error = told(&Run::open(config, kind).unwrap_err());
        assert!(error.contains(message), "{error}");
    }
    let open = |keys: &str| Run::open(config(folder.path(), kind, "run", keys), kind);
    train(&config(folder.path(), kind, "run", "steps = 2\n[adapter]\nr = 2"), kind, 0).unwrap();
    assert_eq!(open("steps = 2\n[adapter]\nr = 2").unwrap().steps_made(), 2);
    for keys in ["steps = 2\n[adapter]\nr = 3", "steps = 2", "steps = 2\nbase_dtype = \"nf4\"\n[adapter]\nr = 2"] {
        let error = told(&open(keys).unwrap_err());
        assert!(error.contains("another [model], [adapter], base_dtype or objective"), "{error}");
    }
}
