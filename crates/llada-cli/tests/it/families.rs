//! The goldens of every family, through `llada batch` and the preset of its published sampler: tokens exactly.

use std::{num::NonZeroUsize, ops::ControlFlow};

use llada_infer::{
    Decoder, Engine, Estimator, Prediction, Request, SamplerConfig, ScoreConfig, ScoreRequest, SpecialTokens,
    StepContext, decoder::Origin,
};
use llada_model::{Device, Dtype, Transformer};
use serde_json::{Map, Value, json as object};

use crate::{golden::batch, json};

/// The golden generations of a fixture by one algorithm.
fn cases(name: &str, algorithm: &str) -> Vec<Value> {
    let golden = json(name, "golden.json");
    let all = golden["generate"].as_array().unwrap();
    all.iter().filter(|case| case["algorithm"] == algorithm).cloned().collect()
}

/// The request of a golden case: its own arguments, and the preset of this name.
fn request(case: &Value, preset: &str) -> Value {
    let results = ["prompt", "output", "nfe", "uniform", "full", "edits_matter", "stop_ids", "until"];
    let mut request: Map<String, Value> = case.as_object().unwrap().clone();
    request.retain(|key, _| !results.contains(&key.as_str()));
    request.insert("prompt_ids".to_owned(), case["prompt"].clone());
    request.insert("algorithm".to_owned(), preset.into());
    request.into()
}

fn run(name: &str, requests: &[Value]) -> Vec<Value> {
    let mut requests = requests.to_vec();
    for (id, request) in requests.iter_mut().enumerate() {
        request["id"] = id.into();
    }
    batch(name, &requests, &["--batch-size", "4"])
}

/// The ids up to the first end of the text, which counts.
fn cut(ids: &Value, eos: &Value) -> Vec<Value> {
    let ids = ids.as_array().unwrap();
    let end = ids.iter().position(|id| id == eos).map_or(ids.len(), |end| end + 1);
    ids[..end].to_vec()
}

#[test]
fn lladas_sampler_is_that_of_illada_and_llada_moe() {
    for (name, count) in [("tiny-illada", 28), ("tiny-llada-moe", 38)] {
        let cases = cases(name, "llada");
        assert_eq!(cases.len(), count);
        let requests: Vec<Value> = cases.iter().map(|case| request(case, "vanilla")).collect();
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
    let eos = &json(name, "golden.json")["special_tokens"]["eos"];
    for cache in ["none", "block"] {
        let mut requests: Vec<Value> = cases.iter().map(|case| request(case, "llada2")).collect();
        requests.iter_mut().for_each(|request| request["cache"] = cache.into());
        for (index, (case, result)) in cases.iter().zip(run(name, &requests)).enumerate() {
            assert_eq!(object!(cut(&result["output_ids"], eos)), case["output"], "{index} {cache}");
            if case["eos_early_stop"] == true {
                // The published code looks for the end in steps that commit one; the end may be settled before.
                assert!(result["nfe"].as_u64() <= case["nfe"].as_u64(), "{index} {cache}");
            } else {
                assert_eq!(result["nfe"], case["nfe"], "{index} {cache}");
            }
        }
    }
}

#[test]
fn llada2_edits_tokens() {
    let name = "tiny-llada2";
    let cases = cases(name, "llada2_edit");
    assert_eq!(cases.len(), 47);
    let eos = &json(name, "golden.json")["special_tokens"]["eos"];
    for cache in ["none", "block"] {
        let mut requests: Vec<Value> = cases.iter().map(|case| request(case, "llada2_edit")).collect();
        requests.iter_mut().for_each(|request| request["cache"] = cache.into());
        for (index, (case, result)) in cases.iter().zip(run(name, &requests)).enumerate() {
            assert_eq!(object!(cut(&result["output_ids"], eos)), case["output"], "{index} {cache}");
            assert_eq!(result["nfe"], case["nfe"], "{index} {cache}");
        }
    }
}

#[test]
fn illada_appends_blocks_until_a_text_stops_it() {
    let name = "tiny-illada";
    let cases = cases(name, "illada_var");
    assert_eq!(cases.len(), 45);
    let mut requests: Vec<Value> = cases.iter().map(|case| request(case, "illada")).collect();
    for (request, case) in requests.iter_mut().zip(&cases) {
        request["stop"] = case["until"].clone();
    }
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

/// The origin order with the random numbers of a golden case instead of the crate's own.
#[derive(Debug)]
struct Recorded {
    origin: Origin,
    /// By step, for the masks by ascending position.
    uniform: Vec<Vec<f32>>,
}

impl Decoder for Recorded {
    fn choose(&self, at: &StepContext, predictions: &[Prediction], chosen: &mut Vec<usize>) {
        let steps = NonZeroUsize::new(at.block_steps).unwrap();
        let probability = self.origin.transfer_probability(at.block_step, steps);
        let uniform = &self.uniform[at.block_step];
        assert_eq!(uniform.len(), predictions.len());
        chosen.extend((0..predictions.len()).filter(|&index| uniform[index] < probability));
    }

    fn schedule(&self, masked: usize, steps: NonZeroUsize) -> Vec<usize> {
        self.origin.schedule(masked, steps)
    }

    fn is_scheduled(&self) -> bool {
        true
    }
}

#[test]
fn the_origin_order_is_a_draw_for_each_mask() {
    for (name, algorithm, eps) in [("tiny-dream", "dream", 1e-3), ("tiny-smdm", "smdm", 1e-5)] {
        let model = Transformer::load(&crate::fixture(name), Device::Cpu, Dtype::F32).unwrap();
        let mut engine = Engine::new(model, SpecialTokens { eos: 2, eot: None });
        let ids = |ids: &Value| serde_json::from_value::<Vec<u32>>(ids.clone()).unwrap();
        let mut compared = 0;
        for case in cases(name, algorithm) {
            let prompt = ids(&case["prompt"]);
            let length = match (case["max_new_tokens"].as_u64(), case["context_length"].as_u64()) {
                (Some(length), _) => length as usize,
                (None, length) => length.unwrap() as usize - prompt.len(),
            };
            if case["alg"] != "origin" {
                continue;
            }
            let config = SamplerConfig {
                steps: Some(case["steps"].as_u64().unwrap() as usize),
                gen_length: length,
                cfg_scale: case["cfg_scale"].as_f64().unwrap_or(0.0) as f32,
                top_p: case["top_p"].as_f64().map(|top_p| top_p as f32),
                top_k: case["top_k"].as_u64().map(|top_k| top_k as usize),
                ..Default::default()
            };
            let eps = case["eps"].as_f64().map_or(eps, |eps| eps as f32);
            let uniform = serde_json::from_value(case["uniform"].clone()).unwrap();
            let request = Request::new(prompt, config).with_decoder(Recorded { origin: Origin { eps }, uniform });
            let answer = engine.generate(&request).unwrap();
            assert_eq!(answer.output, ids(&case["output"]), "{name}");
            assert_eq!(answer.nfe as u64, case["nfe"].as_u64().unwrap(), "{name}");
            compared += 1;
        }
        assert!(compared >= 3, "{name}: {compared}");
    }
}

#[test]
fn dream_and_smdm_go_by_diffusion_time() {
    for (name, algorithm, count) in [("tiny-dream", "dream", 43), ("tiny-smdm", "smdm", 40)] {
        let all = cases(name, algorithm);
        assert_eq!(all.len(), count);
        // The origin order is random: it is compared with recorded numbers elsewhere.
        let cases: Vec<&Value> = all.iter().filter(|case| case["alg"] != "origin").collect();
        let mut requests: Vec<Value> = cases.iter().map(|case| request(case, algorithm)).collect();
        for (request, case) in requests.iter_mut().zip(&cases) {
            let prompt = case["prompt"].as_array().unwrap().len();
            if let Some(length) = request.as_object_mut().unwrap().remove("context_length") {
                request["gen_length"] = (length.as_u64().unwrap() as usize - prompt).into();
            }
        }
        for (index, (case, result)) in cases.iter().zip(run(name, &requests)).enumerate() {
            assert_eq!(result["output_ids"], case["output"], "{name} {index}");
            assert_eq!(result["nfe"], case["nfe"], "{name} {index}");
            if let Some(full) = case.get("full") {
                let ids = |key: &str| result[key].as_array().unwrap().clone();
                assert_eq!(&object!([ids("filled_prompt_ids"), ids("output_ids")].concat()), full, "{name} {index}");
            }
        }
    }
}
