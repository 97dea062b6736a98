//! `llada score`, `llada logits` and `llada inspect`; the reference's likelihoods through the engine that scores.

use std::fs;

use llada_core::likelihood::Perturbation;
use llada_infer::{Engine, SpecialTokens};
use llada_model::{Device, Dtype, Transformer};
use safetensors::SafeTensors;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::tempdir;

use crate::{FIXTURES, command, fixture, json, llada, report, stderr, stdout};

fn field<T: DeserializeOwned>(case: &Value, key: &str) -> T {
    serde_json::from_value(case[key].clone()).unwrap()
}

#[test]
fn likelihoods_equal_the_reference() {
    for name in FIXTURES {
        let model = Transformer::load(&fixture(name), Device::Cpu, Dtype::F32).unwrap();
        let mask_id = model.config().mask_token_id;
        let mut engine = Engine::new(model, SpecialTokens { eos: 0, eot: None });
        for case in json(name, "golden.json")["likelihood"].as_array().unwrap() {
            let (prompt, answer): (Vec<u32>, Vec<u32>) = (field(case, "prompt"), field(case, "answer"));
            let perturbed: Vec<Vec<u32>> = field(case, "perturbed");
            let ratios: Vec<f64> = field(case, "mask_ratio");
            let perturbation = |(row, &mask_ratio): (&Vec<u32>, &f64)| {
                let masked = (0..answer.len()).filter(|i| row[prompt.len() + i] == mask_id).collect();
                Perturbation { masked, mask_ratio }
            };
            let samples: Vec<Perturbation> = perturbed.iter().zip(&ratios).map(perturbation).collect();
            let log_p = engine.log_p_masked(&prompt, &answer, &samples, field(case, "cfg_scale")).unwrap();
            let sum: f64 = log_p.iter().zip(&samples).map(|(log_p, sample)| log_p / sample.mask_ratio).sum();
            let (found, expected) = (sum / samples.len() as f64, field::<f64>(case, "log_likelihood"));
            assert!((found - expected).abs() <= 1e-4 * expected.abs(), "{name}: {found} is not {expected}");
        }
    }
}

/// An answer of one token has one way to be masked: the estimate is exact, and the golden value is met.
#[test]
fn one_token_answers_are_exact() {
    let golden = json("tiny-llada", "golden.json");
    for case in golden["likelihood"].as_array().unwrap().iter().take(2) {
        let ids = |key: &str| field::<Vec<u32>>(case, key)[0].to_string();
        let scale = case["cfg_scale"].to_string();
        let args = ["--prompt-ids", &ids("prompt"), "--answer-ids", &ids("answer"), "--cfg-scale", &scale, "--json"];
        let report = report(&llada("score", "tiny-llada", &args));
        let (found, expected) = (report["log_likelihood"].as_f64().unwrap(), field::<f64>(case, "log_likelihood"));
        assert!((found - expected).abs() < 1e-4 * expected.abs(), "{found} is not {expected}");
        assert_eq!((&report["standard_error"], &report["nfe"]), (&0.0.into(), &1.into()));
    }
}

#[test]
fn both_estimators_agree_within_their_errors() {
    let score = |estimator, mc_num| {
        let ids = ["--prompt-ids", "1,2,3", "--answer-ids", "4,5,6,7,8,9", "--json"];
        let args = ["--estimator", estimator, "--mc-num", mc_num];
        report(&llada("score", "tiny-llada", &[&ids[..], &args].concat()))
    };
    let (a, b) = (score("form-a", "2000"), score("form-b", "512"));
    let number = |report: &Value, key: &str| report[key].as_f64().unwrap();
    let error = number(&a, "standard_error").hypot(number(&b, "standard_error"));
    assert!((number(&a, "log_likelihood") - number(&b, "log_likelihood")).abs() < 4.0 * error);
    assert!(number(&b, "standard_error") < number(&a, "standard_error"));
    let bits = number(&b, "nats_per_token") / std::f64::consts::LN_2;
    assert!((number(&b, "bits_per_token") - bits).abs() < 1e-9);
    assert_eq!(score("form-b", "64")["log_likelihood"], score("form-b", "64")["log_likelihood"]);
}

#[test]
fn texts_are_cut_between_prompt_and_answer() {
    let score = |prompt, answer| {
        report(&llada("score", "tiny-llada", &["--prompt", prompt, "--answer", answer, "--json", "--mc-num", "16"]))
    };
    let (with_space, moved) = (score("Hello, ", "world!"), score("Hello,", " world!"));
    assert_eq!(with_space["log_likelihood"], moved["log_likelihood"]);
    let shown = stdout(&llada("score", "tiny-llada", &["--prompt", "Hello,", "--answer", " world!"]));
    assert!(shown.starts_with("log-likelihood") && shown.contains("bits"));
}

#[test]
fn what_is_too_long_is_told_in_the_words_of_scoring() {
    let long = vec!["1"; 300].join(",");
    let refused = llada("score", "tiny-llada", &["--prompt-ids", &long, "--answer-ids", "4,5"]);
    assert_eq!(refused.status.code(), Some(2));
    let expected = "error: 300 prompt tokens and 2 answer tokens exceed max_sequence_length 256\nhint: shorten the prompt or the answer\n";
    assert_eq!(stderr(&refused), expected);
}

#[test]
fn logits_equal_the_reference() {
    for name in FIXTURES {
        let folder = tempdir().unwrap();
        let out = folder.path().join("logits.safetensors");
        let bytes = fs::read(fixture(name).join("golden_logits.safetensors")).unwrap();
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let ids = golden.tensor("input_ids.2").unwrap();
        let ids: Vec<String> =
            ids.data().chunks(8).map(|id| i64::from_le_bytes(id.try_into().unwrap()).to_string()).collect();
        stdout(&llada("logits", name, &["--dtype", "f32", "--ids", &ids.join(","), "--out", out.to_str().unwrap()]));
        let bytes = fs::read(out).unwrap();
        let found = SafeTensors::deserialize(&bytes).unwrap();
        let (found, expected) = (found.tensor("logits").unwrap(), golden.tensor("logits.2").unwrap());
        assert_eq!(found.shape(), expected.shape());
        let floats =
            |bytes: &[u8]| -> Vec<f32> { bytes.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect() };
        for (a, b) in floats(found.data()).iter().zip(floats(expected.data())) {
            assert!((a - b).abs() < 1e-4);
        }
    }
}

#[test]
fn inspect_tells_shape_and_memory() {
    let inspect = |args: &[&str]| command().arg("inspect").arg(fixture("tiny-llada-gqa-bf16")).args(args).output();
    let shown = stdout(&inspect(&[]).unwrap());
    assert!(shown.contains("764 ids in 768 rows") && shown.contains("39 BF16"), "{shown}");
    let report = report(&inspect(&["--json"]).unwrap());
    assert_eq!(report["parameters"], 504_672);
    assert_eq!(report["f32_bytes"], 4 * 504_672);
    assert_eq!(report["bf16_bytes"], 2 * 504_672);
    // The embedding, 768 rows of width 96, stays in bf16.
    assert_eq!(report["int8_bytes"], 504_672 + 768 * 96);
    assert_eq!(shown.contains("as int8"), !report["int8_kernel"].is_null(), "{shown}");
    assert_eq!(report["problems"], Value::Array(vec![]));
}
