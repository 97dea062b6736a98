//! Every golden case of the official sampler, through `llada batch`: tokens and forward evaluations exactly.

use std::fs;

use serde_json::{Value, json as object};
use tempfile::tempdir;

use crate::{FIXTURES, command, fixture, json};

/// Runs `requests` and gives the results by line.
pub(crate) fn batch(name: &str, requests: &[Value], args: &[&str]) -> Vec<Value> {
    let folder = tempdir().unwrap();
    let (input, output) = (folder.path().join("requests.jsonl"), folder.path().join("results.jsonl"));
    fs::write(&input, requests.iter().map(|request| format!("{request}\n")).collect::<String>()).unwrap();
    let mut command = command();
    command.args(["batch", "--dtype", "f32", "--model"]).arg(fixture(name));
    let run = command.arg("--input").arg(input).arg("--output").arg(&output).args(args).output().unwrap();
    assert!(run.status.success(), "{}", crate::stderr(&run));
    fs::read_to_string(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The golden cases as requests, and the cases: the official sampler's, and Fast-dLLM's three.
fn golden_requests(name: &str) -> (Vec<Value>, Vec<Value>) {
    let golden = json(name, "golden.json");
    let cases = golden["generate"].as_array().unwrap().clone();
    let request = |(id, case): (usize, &Value)| {
        let algorithm = if case["algorithm"] == "llada" { "vanilla" } else { case["algorithm"].as_str().unwrap() };
        let mut request = object!({"id": id, "algorithm": algorithm, "prompt_ids": case["prompt"]});
        for key in [
            "steps",
            "gen_length",
            "block_length",
            "cfg_scale",
            "remasking",
            "logits_eos_inf",
            "confidence_eos_eot_inf",
            "threshold",
        ] {
            if let Some(value) = case.get(key) {
                request[key] = value.clone();
            }
        }
        request
    };
    (cases.iter().enumerate().map(request).collect(), cases)
}

#[test]
fn generations_equal_the_reference() {
    for name in FIXTURES {
        let (requests, cases) = golden_requests(name);
        assert_eq!(cases.len(), 96);
        // One thread and a row at a time, two threads and ragged batches of eight: the same tokens.
        for args in [["--threads", "1", "--batch-size", "1"], ["--threads", "2", "--batch-size", "8"]] {
            let results = batch(name, &requests, &args);
            for (id, (case, result)) in cases.iter().zip(results).enumerate() {
                assert_eq!(result["id"], id);
                assert_eq!(result["output_ids"], case["output"], "{name} {id} {args:?}");
                assert_eq!(result["nfe"], case["nfe"], "{name} {id}");
                assert_eq!(result["prompt_tokens"], case["prompt"].as_array().unwrap().len());
            }
        }
    }
}

/// Drafted states change no token of any golden case, and cost no forward.
#[test]
fn generations_with_drafts_equal_the_reference() {
    for name in FIXTURES {
        let (mut requests, cases) = golden_requests(name);
        requests.iter_mut().for_each(|request| request["draft_length"] = 4.into());
        for (id, (case, result)) in cases.iter().zip(batch(name, &requests, &["--batch-size", "8"])).enumerate() {
            assert_eq!(result["output_ids"], case["output"], "{name} {id}");
            assert!(result["nfe"].as_u64() <= case["nfe"].as_u64(), "{name} {id}");
        }
    }
}

/// The names of `eos` are the reference's two flags.
#[test]
fn end_of_text_is_treated_by_name() {
    let (requests, cases) = golden_requests(FIXTURES[0]);
    let named = |(mut request, case): (Value, Value)| {
        let flags = ["logits_eos_inf", "confidence_eos_eot_inf"].map(|flag| case[flag] == true);
        request["eos"] = if flags[0] { "ban" } else { "defer" }.into();
        request.as_object_mut().unwrap().retain(|key, _| !key.ends_with("eos_inf") && !key.ends_with("eot_inf"));
        flags.contains(&true).then_some((request, case))
    };
    let (requests, cases): (Vec<_>, Vec<_>) = requests.into_iter().zip(cases).filter_map(named).unzip();
    assert_eq!(cases.len(), 8);
    for (case, result) in cases.iter().zip(batch(FIXTURES[0], &requests, &[])) {
        assert_eq!(result["output_ids"], case["output"]);
    }
}

#[test]
fn chats_equal_the_reference() {
    for name in FIXTURES {
        let golden = json(name, "golden_text.json");
        let cases = golden["chat"].as_array().unwrap();
        let request = |(id, case): (usize, &Value)| {
            let mut request = object!({"id": id.to_string(), "messages": case["messages"]});
            for key in ["steps", "gen_length", "block_length"] {
                request[key] = case["generate"][key].clone();
            }
            request
        };
        let requests: Vec<Value> = cases.iter().enumerate().map(request).collect();
        for (case, result) in cases.iter().zip(batch(name, &requests, &[])) {
            assert_eq!(result["output_ids"], case["generate"]["output"]);
            assert_eq!(result["text"], case["generate"]["text"]);
            assert_eq!(result["prompt_tokens"], case["ids"].as_array().unwrap().len());
        }
    }
}

#[test]
fn reference_compat_changes_nothing_at_temperature_zero() {
    let name = FIXTURES[0];
    let (mut requests, cases) = golden_requests(name);
    requests.iter_mut().for_each(|request| request["reference_compat"] = true.into());
    for (case, result) in cases.iter().zip(batch(name, &requests, &[])) {
        assert_eq!(result["output_ids"], case["output"]);
    }
}
