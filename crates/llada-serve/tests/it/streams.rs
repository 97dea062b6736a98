//! Streams: three views of one generation.

use llada_serve::ServeOptions;
use serde_json::{Value, json};

use crate::server::{QUESTION, Sent, Server, chat, content, events, read_events};

fn streamed(server: &Server, keys: Value) -> Vec<Value> {
    let mut body = chat(QUESTION, keys);
    body["stream"] = true.into();
    events(server.send("/v1/chat/completions", &body)).into_iter().map(|Sent { data, .. }| data).collect()
}

fn text(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

#[test]
fn settled_text_adds_up_to_the_answer() {
    let server = Server::start(ServeOptions::default());
    for options in [json!({}), json!({"temperature": 2.0, "seed": 5}), json!({"stop": ["3"]})] {
        let chunks = streamed(&server, options.clone());
        assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
        assert_eq!(chunks[0]["usage"], Value::Null);
        let last = chunks.last().unwrap();
        assert!(last["choices"][0]["finish_reason"].is_string(), "{last}");
        let whole = server.post("/v1/chat/completions", &chat(QUESTION, options));
        assert_eq!(text(&chunks), content(&whole));
    }
}

#[test]
fn usage_comes_last_if_it_is_asked_for() {
    let server = Server::start(ServeOptions::default());
    let chunks = streamed(&server, json!({"stream_options": {"include_usage": true}}));
    let last = chunks.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["diffusion"]["nfe"]), (&json!([]), &json!(32)));
}

/// From the canvas that a trace starts with, the steps of a stream lead to the canvas of the answer.
#[test]
fn steps_can_be_replayed() {
    let server = Server::start(ServeOptions::default());
    let decoders = [
        json!({"decoder": "schedule", "steps": 8, "block_length": 16}),
        json!({"decoder": "wino"}),
        json!({"length": "daedal", "decoder": "threshold"}),
        json!({}),
    ];
    for diffusion in decoders {
        let mut diffusion = diffusion;
        diffusion["trace"] = true.into();
        let keys = json!({"stream_options": {"include_diffusion": true}, "diffusion": diffusion, "seed": 1});
        let chunks = streamed(&server, keys.clone());
        let whole = server.post("/v1/chat/completions", &chat(QUESTION, keys));
        let trace = &whole["diffusion"]["trace"];
        let masked = chunks.iter().rev().find_map(|chunk| chunk["diffusion"]["masked"].as_u64());
        assert_eq!(masked, Some(0), "{diffusion}");
        let prompt_length = trace["prompt_length"].as_u64().unwrap() as usize;
        let mut canvas: Vec<Option<u64>> = Vec::new();
        let mut grown = 0;
        let steps: Vec<&Value> =
            chunks.iter().map(|chunk| &chunk["diffusion"]).filter(|step| step["step"].is_u64()).collect();
        assert_eq!(steps.len(), trace["steps"].as_array().unwrap().len(), "{diffusion}");
        for step in &steps {
            grown += step["grown"]["count"].as_u64().unwrap_or_default() as usize;
        }
        let length = trace["canvas"].as_array().unwrap().len();
        canvas.resize(length - grown, None);
        for step in steps {
            if let Some(at) = step["grown"]["at"].as_u64() {
                let count = step["grown"]["count"].as_u64().unwrap() as usize;
                canvas.splice(at as usize..at as usize, std::iter::repeat_n(None, count));
            }
            for position in step["revoked"].as_array().unwrap() {
                canvas[position.as_u64().unwrap() as usize] = None;
            }
            for commit in step["commits"].as_array().unwrap().iter().chain(step["forced"].as_array().unwrap()) {
                canvas[commit[0].as_u64().unwrap() as usize] = commit[1].as_u64();
            }
            let masked = canvas[prompt_length..].iter().filter(|id| id.is_none()).count();
            assert_eq!(step["masked"], masked, "{diffusion}");
        }
        let text: Vec<u64> = canvas[prompt_length..].iter().map(|id| id.unwrap()).collect();
        let expected = replayed(trace, prompt_length);
        assert_eq!(text, expected, "{diffusion}");
    }
}

/// The answer that a trace ends with.
fn replayed(trace: &Value, prompt_length: usize) -> Vec<u64> {
    let trace: llada::Trace = serde_json::from_value(trace.clone()).unwrap();
    let last = trace.canvas_at(trace.steps.len() - 1);
    last[prompt_length..].iter().map(|&id| u64::from(id)).collect()
}

#[test]
fn diffusing_streams_replace_the_text() {
    let server = Server::start(ServeOptions::default());
    let chunks = streamed(&server, json!({"diffusing": true}));
    let texts: Vec<&str> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(texts.last(), Some(&"423"));
    assert!(texts[1].contains('░'), "{texts:?}");
    let progress: Vec<f64> =
        chunks.iter().filter_map(|chunk| chunk["diffusion_meta"]["diffusion_progress"].as_f64()).collect();
    assert!(progress.is_sorted() && progress.last() == Some(&1.0), "{progress:?}");
}

#[test]
fn a_client_that_goes_ends_its_generation() {
    let server = Server::start(ServeOptions::default());
    let keys = json!({
        "stream": true, "max_tokens": 200, "stream_options": {"include_diffusion": true},
        "diffusion": {"decoder": "schedule", "steps": 200, "block_length": 200},
    });
    let response = server.send("/v1/chat/completions", &chat(QUESTION, keys));
    let begun = read_events(response.into_body().into_reader(), 3);
    assert_eq!(begun.len(), 3);
    server.await_metric("llada_requests_unfinished_total{reason=\"cancelled\"}", 1.0);
    server.await_metric("llada_num_requests_running", 0.0);
}
