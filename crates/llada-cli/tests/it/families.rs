//! The goldens of every family, through `llada batch` and the name of its published sampler: tokens exactly.

use std::ops::ControlFlow;

use llada_core::{
    predictor::{Hidden, MaskPredictor, Row},
    sampling::log_softmax_at,
};
use llada_infer::{Engine, Estimator, Request, SamplerConfig, ScoreConfig, ScoreRequest, SpecialTokens};
use llada_model::{Device, Dtype, Transformer};
use safetensors::SafeTensors;
use serde_json::{Map, Value, json as object};

use crate::{golden::batch, json};

/// The golden generations of a fixture by one algorithm.
fn cases(name: &str, algorithm: &str) -> Vec<Value> {
    let golden = json(name, "golden.json");
    let all = golden["generate"].as_array().unwrap();
    all.iter().filter(|case| case["algorithm"] == algorithm).cloned().collect()
}

/// The request of a golden case: its own arguments, under their own names.
fn request(case: &Value) -> Value {
    let results = ["prompt", "output", "nfe", "full", "edits_matter"];
    let mut request: Map<String, Value> = case.as_object().unwrap().clone();
    request.retain(|key, _| !results.contains(&key.as_str()));
    request.insert("prompt_ids".to_owned(), case["prompt"].clone());
    request.into()
}

fn run(name: &str, requests: &[Value]) -> Vec<Value> {
    let mut requests = requests.to_vec();
    for (id, request) in requests.iter_mut().enumerate() {
        request["id"] = id.into();
    }
    batch(name, &requests, &["--batch-size", "4"])
}

#[test]
fn lladas_sampler_is_that_of_illada_and_llada_moe() {
    for (name, count) in [("tiny-illada", 28), ("tiny-llada-moe", 38)] {
        let cases = cases(name, "llada");
        assert_eq!(cases.len(), count);
        let requests: Vec<Value> = cases.iter().map(request).collect();
        for (case, result) in cases.iter().zip(run(name, &requests)) {
            assert_eq!(result["output_ids"], case["output"], "{name}");
            assert_eq!(result["nfe"], case["nfe"], "{name}");
        }
    }
}

#[test]
fn llada2_decodes_aligned_blocks() {
    let name = "tiny-llada2";
    let cases = cases(name, "llada2");
    assert_eq!(cases.len(), 52);
    for cache in ["none", "block"] {
        let mut requests: Vec<Value> = cases.iter().map(request).collect();
        requests.iter_mut().for_each(|request| request["cache"] = cache.into());
        for (index, (case, result)) in cases.iter().zip(run(name, &requests)).enumerate() {
            assert_eq!(result["output_ids"], case["output"], "{index} {cache}");
            assert_eq!(result["nfe"], case["nfe"], "{index} {cache}");
        }
    }
}

#[test]
fn llada2_edits_tokens() {
    let name = "tiny-llada2";
    let cases = cases(name, "llada2_edit");
    assert_eq!(cases.len(), 47);
    for cache in ["none", "block"] {
        let mut requests: Vec<Value> = cases.iter().map(request).collect();
        requests.iter_mut().for_each(|request| request["cache"] = cache.into());
        for (index, (case, result)) in cases.iter().zip(run(name, &requests)).enumerate() {
            assert_eq!(result["output_ids"], case["output"], "{index} {cache}");
            assert_eq!(result["nfe"], case["nfe"], "{index} {cache}");
        }
    }
}

#[test]
fn illada_appends_blocks_until_a_text_stops_it() {
    let name = "tiny-illada";
    let cases = cases(name, "illada_var");
    assert_eq!(cases.len(), 45);
    let requests: Vec<Value> = cases.iter().map(request).collect();
    for (index, (case, result)) in cases.iter().zip(run(name, &requests)).enumerate() {
        assert_eq!(result["output_ids"], case["output"], "{index}");
        assert_eq!(result["nfe"], case["nfe"], "{index}");
    }
}

#[test]
fn illada_scores_options_by_confidence() {
    let name = "tiny-illada";
    let golden = json(name, "golden.json");
    let cases = golden["confidence_likelihood"].as_array().unwrap();
    assert!(!cases.is_empty());
    let model = Transformer::load(&crate::fixture(name), Device::Cpu, Dtype::F32).unwrap();
    let eos = model.config().eos_token_id;
    let mut engine = Engine::new(model, SpecialTokens { eos, eot: None });
    let config = ScoreConfig { estimator: Estimator::Confidence, ..Default::default() };
    let ids = |ids: &Value| serde_json::from_value::<Vec<u32>>(ids.clone()).unwrap();
    for case in cases {
        let suffix = if case["padd_eos"] == true { vec![eos] } else { Vec::new() };
        let option = ScoreRequest::new(ids(&case["prompt"]), ids(&case["answer"])).with_suffix(suffix);
        let scores =
            engine.score_options(std::slice::from_ref(&option), &config, |_, _| ControlFlow::Continue(())).unwrap();
        let expected = case["log_likelihood"].as_f64().unwrap();
        let found = scores[0].estimate.log_likelihood;
        assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found} {expected}");
        assert_eq!(scores[0].nfe, option.answer.len());
        // Beside another option, which takes another number of forwards, nothing changes.
        let other = ScoreRequest::new(ids(&case["prompt"]), [7, 8, 9, 10, 11, 12]);
        let both = engine.score_options(&[other, option], &config, |_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!(both[1].estimate, scores[0].estimate);
    }
}

/// The likelihood of a single token is the model's own, holes are filled and nothing else is, and a batch changes nothing,
/// with the family's own mask and shift.
#[test]
fn every_family_is_scored_and_filled() {
    for name in ["tiny-illada", "tiny-llada-moe", "tiny-llada2", "tiny-dream", "tiny-smdm"] {
        let mut model = Transformer::load(&crate::fixture(name), Device::Cpu, Dtype::F32).unwrap();
        let (mask, eos) = (model.config().mask_token_id, model.config().eos_token_id);
        let prompt: Vec<u32> = (0..9).map(|i| 20 + 31 * i).collect();
        let ids = [prompt.as_slice(), &[mask]].concat();
        let mut logits = Vec::new();
        model.forward(&[Row::new(&ids, &[9])]).unwrap().logits(0, 0..1, &mut logits).unwrap();
        let expected = log_softmax_at(&logits, 77);
        let mut engine = Engine::new(model, SpecialTokens { eos, eot: None });
        let score = engine.score(&prompt, &[77], &ScoreConfig::default(), |_, _| ControlFlow::Continue(())).unwrap();
        assert!((score.estimate.log_likelihood - expected).abs() < 1e-6, "{name}");

        let mut holes = prompt.clone();
        (holes[2], holes[5]) = (mask, mask);
        let config = SamplerConfig { gen_length: 0, ..Default::default() };
        let request = |prompt: &[u32]| Request::new(prompt, config.clone());
        let filled = engine.generate(&request(&holes)).unwrap().prompt;
        for (index, (&before, &after)) in prompt.iter().zip(&filled).enumerate() {
            assert!(before == after || index == 2 || index == 5, "{name} {index}");
            assert_ne!(after, mask, "{name} {index}");
        }
        let batch = [request(&holes[..7]), request(&holes)];
        let together = engine.generate_batch(&batch, |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(together[1].prompt, filled, "{name}");
    }
}

#[test]
fn dream_and_smdm_go_by_diffusion_time() {
    for (name, algorithm, count) in [("tiny-dream", "dream", 43), ("tiny-smdm", "smdm", 40)] {
        let all = cases(name, algorithm);
        assert_eq!(all.len(), count);
        let requests: Vec<Value> = all.iter().map(request).collect();
        for (index, (case, result)) in all.iter().zip(run(name, &requests)).enumerate() {
            assert_eq!(result["output_ids"], case["output"], "{name} {index}");
            assert_eq!(result["nfe"], case["nfe"], "{name} {index}");
            if let Some(full) = case.get("full") {
                let ids = |key: &str| result[key].as_array().unwrap().clone();
                assert_eq!(&object!([ids("filled_prompt_ids"), ids("output_ids")].concat()), full, "{name} {index}");
            }
        }
    }
}

#[test]
fn logits_are_written_as_the_familys_code_gives_them() {
    let folder = tempfile::tempdir().unwrap();
    for (name, block_lengths) in [("tiny-dream", [None; 4]), ("tiny-llada2", [32, 32, 8, 8].map(Some))] {
        let bytes = std::fs::read(crate::fixture(name).join("golden_logits.safetensors")).unwrap();
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        for (i, block_length) in block_lengths.into_iter().enumerate() {
            let ids = golden.tensor(&format!("input_ids.{i}")).unwrap();
            let ids: Vec<String> =
                ids.data().chunks(8).map(|id| i64::from_le_bytes(id.try_into().unwrap()).to_string()).collect();
            let out = folder.path().join("logits.safetensors");
            let mut command = crate::command();
            command.args(["logits", "--dtype", "f32", "--ids", &ids.join(",")]);
            command.arg("--model").arg(crate::fixture(name)).arg("--out").arg(&out);
            if let Some(block_length) = block_length {
                command.args(["--block-length", &format!("{block_length}")]);
            }
            let run = command.output().unwrap();
            assert!(run.status.success(), "{}", crate::stderr(&run));
            let written = std::fs::read(&out).unwrap();
            let written = SafeTensors::deserialize(&written).unwrap();
            let floats = |data: &[u8]| -> Vec<f32> {
                data.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()
            };
            let found = floats(written.tensor("logits").unwrap().data());
            let expected = floats(golden.tensor(&format!("logits.{i}")).unwrap().data());
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-4, "{name} {i}: {found} {expected}");
            }
        }
    }
}
