//! `llada convert`: what it writes is a model like any other, under a causal mask the original, and a start for training.

#[allow(dead_code, reason = "the tests of llada-model use the rest")]
#[path = "../../../llada-model/tests/it/convert/sample.rs"]
mod sample;

use std::{fs, path::Path, process::Output};

use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::tempdir;

use self::sample::SAMPLES;
use crate::{command, fixture, report, stderr, stdout};

fn convert(input: &Path, out: &Path, args: &[&str]) -> Output {
    command().arg("convert").arg(input).arg("--out").arg(out).args(args).output().unwrap()
}

#[test]
fn a_converted_model_is_the_original_under_a_causal_mask_and_generates() {
    let folder = tempdir().unwrap();
    SAMPLES[0].write_folder(folder.path());
    let out = folder.path().join("out");
    let told = stdout(&convert(folder.path(), &out, &["--dtype", "f32"]));
    assert!(told.contains("ILLaDAForCausalLM of 0.1 million parameters in f32"), "{told}");
    assert!(told.ends_with("mask <|mask|> with id 40, a new token\n"), "{told}");

    let golden = fs::read_to_string(fixture("convert").join("golden.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let ids: Vec<String> = golden["ids"].as_array().unwrap().iter().map(Value::to_string).collect();
    let file = folder.path().join("logits.safetensors");
    let mut logits = command();
    logits.args(["logits", "--causal", "--ids", &ids.join(","), "--model"]).arg(&out).arg("--out").arg(&file);
    stdout(&logits.output().unwrap());
    let bytes = fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let logits = tensors.tensor("logits").unwrap();
    assert_eq!(logits.shape(), [ids.len(), sample::VOCABULARY + 1]);
    let first = f32::from_le_bytes(logits.data()[..4].try_into().unwrap());
    assert!((f64::from(first) - golden["llama"]["logits"][0][0].as_f64().unwrap()).abs() < 2e-5);

    let asked = ["generate", "--prompt-ids", "1,5,7", "--gen-length", "32", "--json", "--model"];
    let answer = report(&command().args(asked).arg(&out).output().unwrap());
    assert_eq!(answer["output_ids"].as_array().map(Vec::len), Some(32));
}

#[test]
fn what_cannot_be_converted_is_refused() {
    let folder = tempdir().unwrap();
    SAMPLES[2].write_folder(folder.path());
    let out = folder.path().join("out");
    let shifted = convert(folder.path(), &out, &["--shift"]);
    assert_eq!(shifted.status.code(), Some(2));
    let expected = "error: shifted logits where queries and keys have norms, as in Qwen3: no family that is read has them\n\
                    hint: leave out the shift of logits\n";
    assert_eq!(stderr(&shifted), expected);

    fs::write(folder.path().join("model.gguf"), b"GGUF\x01\0\0\0").unwrap();
    let damaged = convert(&folder.path().join("model.gguf"), &out, &[]);
    assert_eq!(damaged.status.code(), Some(1));
    assert!(
        stderr(&damaged).contains("model.gguf: version 1 of GGUF, which is not read\nhint: "),
        "{}",
        stderr(&damaged)
    );

    stdout(&convert(folder.path(), &out, &[]));
    let again = convert(folder.path(), &out, &[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is there already\nhint: "), "{}", stderr(&again));
}
