//! The goldens of every family, through `llada batch` and the preset of its published sampler: tokens exactly.

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
