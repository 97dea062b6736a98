//! `--adapter` and `llada adapter`: the same logits beside the weights and inside them, and training that ends in a folder
//! for both.

use std::{fs, path::Path};

use llada_train::data::{DatasetKind, DatasetWriter};
use safetensors::SafeTensors;
use tempfile::tempdir;

use crate::{command, fixture, report, stderr, stdout};

fn logits(folder: &Path, model: &Path, adapter: Option<&Path>) -> Vec<f32> {
    let out = folder.join("logits.safetensors");
    let mut command = command();
    command.args(["logits", "--ids", "510,7,510,3", "--dtype", "f32", "--model"]).arg(model).arg("--out").arg(&out);
    if let Some(adapter) = adapter {
        command.arg("--adapter").arg(adapter);
    }
    stdout(&command.output().unwrap());
    let bytes = fs::read(out).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let data = tensors.tensor("logits").unwrap().data();
    data.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn an_adapter_computes_the_same_beside_the_weights_and_inside_them() {
    let folder = tempdir().unwrap();
    let (base, adapter, merged) = (fixture("tiny-llada"), fixture("lora/adapter_attn"), folder.path().join("merged"));
    let merge = |model: &Path, out: &Path| {
        let mut command = command();
        command.args(["adapter", "merge", "--model"]).arg(model).arg("--adapter").arg(&adapter).arg("--out").arg(out);
        command.output().unwrap()
    };
    let sizes = stdout(&merge(&base, &merged));
    assert!(sizes.contains(" -> ") && sizes.contains("MB"), "{sizes}");
    let beside = logits(folder.path(), &base, Some(&adapter));
    assert!(difference(&beside, &logits(folder.path(), &merged, None)) < 1e-3);
    assert!(difference(&beside, &logits(folder.path(), &base, None)) > 0.1);
    assert!(stderr(&merge(&base, &merged)).contains("is there already\nhint: "));
    let int8 = folder.path().join("int8");
    stdout(&command().args(["quantize", "--model"]).arg(&base).arg("--out").arg(&int8).output().unwrap());
    let noted = stderr(&merge(&int8, &folder.path().join("of-int8")));
    assert!(noted.contains("note: the weights of") && noted.contains("become bf16"), "{noted}");
}

#[test]
fn every_command_that_asks_a_model_takes_an_adapter() {
    let (base, adapter) = (fixture("tiny-llada"), fixture("lora/adapter_all"));
    let ask = |words: &[&str], with_adapter: bool| {
        let mut command = command();
        command.args(words).arg("--model").arg(&base).arg("--json");
        if with_adapter {
            command.arg("--adapter").arg(&adapter);
        }
        report(&command.output().unwrap())
    };
    let generate = ["generate", "--prompt-ids", "1,2,3", "--gen-length", "8"];
    assert_ne!(ask(&generate, true)["output_ids"], ask(&generate, false)["output_ids"]);
    let score = ["score", "--prompt-ids", "1", "--answer-ids", "2,3", "--mc-num", "4"];
    assert_ne!(ask(&score, true), ask(&score, false));
    for dtype in ["bf16", "int8", "nf4", "nf4-double"] {
        let ids = ask(&[&generate[..], &["--dtype", dtype]].concat(), true)["output_ids"].clone();
        assert_eq!(ids.as_array().map(Vec::len), Some(8), "{dtype}");
    }
}

#[test]
fn an_adapter_is_shown() {
    let inspect = |name: &str, words: &[&str]| {
        command().args(["adapter", "inspect"]).arg(fixture("lora").join(name)).args(words).output().unwrap()
    };
    let text = stdout(&inspect("adapter_attn", &[]));
    for part in [
        "rank          4",
        r#"rank_pattern  {"blocks\\.0\\.q_proj":2,"up_proj":8}"#,
        "alpha         8, scaled by 1/sqrt(rank)",
        r#"targets       ["q_proj","up_proj","v_proj"]"#,
        "modules       9, the first model.transformer.blocks.0.q_proj",
        "parameters    8192",
        "base model    tiny-llada",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = report(&inspect("adapter_head", &["--json"]));
    assert_eq!(json["parameters"], 3808);
    assert_eq!(json["modules"].as_array().map(Vec::len), Some(4));
    assert_eq!(json["saved"], serde_json::json!(["model.transformer.ln_f.weight"]));
    assert_eq!(json["config"]["modules_to_save"], serde_json::json!(["ln_f"]));
}

#[test]
fn what_is_no_adapter_of_the_model_is_refused() {
    let ask = |model: &str, adapter: &Path, code: i32| {
        let mut command = command();
        command.args(["generate", "--prompt-ids", "1", "--gen-length", "4", "--model"]).arg(fixture(model));
        let output = command.arg("--adapter").arg(adapter).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        stderr(&output)
    };
    let error = ask("tiny-llada-gqa-bf16", &fixture("lora/adapter_all"), 1);
    assert!(error.contains("lora_A.weight") && error.contains("has shape"), "{error}");
    let error = ask("tiny-llada", &fixture("tiny-llada"), 3);
    assert!(error.contains("adapter_config.json"), "{error}");
    let output = command().args(["generate", "--prompt-ids", "1", "--model"]).arg(fixture("lora/adapter_all")).output();
    let error = stderr(&output.unwrap());
    assert!(error.contains("a PEFT adapter to tiny-llada, not a model\nhint: --adapter "), "{error}");
}

#[test]
fn training_ends_in_an_adapter() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    let mut writer = DatasetWriter::create(&data, DatasetKind::Sft, 500, 508).unwrap();
    for record in 0..8 {
        writer.record(&[1, 2, 3], &[record, 5, 6, 7], 12).unwrap();
    }
    writer.finish().unwrap();
    let run = folder.path().join("run");
    let mut sft = command();
    sft.args(["sft", "--steps", "3", "--batch-size", "4", "--dtype", "f32", "--lr", "0.05", "--warmup-steps", "1"]);
    sft.args(["--base-dtype", "nf4-double", "--r", "2", "--target-modules", "q_proj,ff_out", "--rank-pattern"]);
    sft.args(["1.q_proj=3,ff_proj=1", "--init"]).arg(fixture("tiny-llada")).arg("--data").arg(&data);
    let told = stderr(&sft.arg("--out").arg(&run).output().unwrap());
    assert!(told.contains("adapter in "), "{told}");
    let adapter = run.join("adapter");
    let json = report(&command().args(["adapter", "inspect", "--json"]).arg(&adapter).output().unwrap());
    assert_eq!(json["config"]["target_modules"], serde_json::json!(["q_proj", "ff_out"]));
    assert_eq!(json["config"]["rank_pattern"]["1.q_proj"], 3);
    assert_eq!(json["modules"].as_array().map(Vec::len), Some(7));
    let base = fixture("tiny-llada");
    let moved = difference(&logits(folder.path(), &base, Some(&adapter)), &logits(folder.path(), &base, None));
    assert!(moved > 0.05, "{moved}");
}
