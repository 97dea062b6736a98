//! Prompts that are told with the log-probabilities of their tokens.

use std::ops::ControlFlow;

use llada::{Estimator, Message, ScoreConfig};
use llada_serve::ServeOptions;
use serde_json::{Value, json};

use crate::server::{QUESTION, Server, chat, tiny};

/// The ids of a question, and of its answer.
fn texts(model: &llada::Model) -> (Vec<u32>, Vec<u32>) {
    let tokenizer = model.tokenizer().unwrap();
    let prompt = tokenizer.render_chat(&[Message::new("user", QUESTION)]).unwrap();
    (tokenizer.encode(&prompt).unwrap(), tokenizer.encode_part("423").unwrap())
}

fn logprobs(choice: &Value) -> Vec<Option<f64>> {
    let told = &choice["logprobs"];
    let count = told["tokens"].as_array().unwrap().len();
    assert!(["top_logprobs", "text_offset"].iter().all(|key| told[key].as_array().unwrap().len() == count));
    told["token_logprobs"].as_array().unwrap().iter().map(Value::as_f64).collect()
}

#[test]
fn the_tokens_of_a_prompt_are_predicted_from_left_to_right() {
    let mut model = tiny();
    let (prompt, answer) = texts(&model);
    let config = ScoreConfig { estimator: Estimator::LeftToRight, ..ScoreConfig::default() };
    let expected =
        model.engine_mut().score(&prompt, &answer, &config, |_, _| ControlFlow::Continue(())).unwrap().estimate;
    let ids = [prompt.clone(), answer].concat();
    let server = Server::start(ServeOptions::default());
    // What lm-evaluation-harness asks for, and how it reads the response.
    let body = json!({"prompt": [ids], "max_tokens": 1, "logprobs": 1, "echo": true, "temperature": 0});
    let told = server.post("/v1/completions", &body);
    let choice = &told["choices"][0];
    let found = logprobs(choice);
    assert_eq!((found.len(), found[0]), (ids.len() + 1, None));
    let tail = prompt.len()..found.len() - 1;
    let sum: f64 = found[tail.clone()].iter().map(|logprob| logprob.unwrap()).sum();
    assert!((sum - expected.log_likelihood).abs() < 1e-4, "{sum} is not {}", expected.log_likelihood);
    assert!(sum > -1.0, "the right answer is likely: {sum}");
    for index in tail {
        let best = choice["logprobs"]["top_logprobs"][index].as_object().unwrap().values().next().unwrap();
        assert!(best.as_f64() >= found[index], "{best} is less than {:?}", found[index]);
    }
    let usage = &told["usage"];
    // As many tokens are predicted in a forward as it may compute rows of the prompt; one more forward writes a token.
    let forwards = (ids.len() - 1).div_ceil(256 / ids.len()) + 1;
    assert_eq!((&usage["prompt_tokens"], &usage["diffusion"]["nfe"]), (&json!(ids.len()), &json!(forwards)), "{usage}");

    let alone = server.post("/v1/completions", &json!({"prompt": ids, "max_tokens": 0, "logprobs": 0, "echo": true}));
    assert_eq!(logprobs(&alone["choices"][0]), found[..ids.len()]);
    assert_eq!(alone["choices"][0]["logprobs"]["top_logprobs"][1], json!({}));
    assert_eq!(
        (&alone["usage"]["completion_tokens"], &alone["choices"][0]["finish_reason"]),
        (&json!(0), &json!("length"))
    );
}

#[test]
fn a_text_is_told_as_it_was_sent() {
    let server = Server::start(ServeOptions::default());
    let plain = json!({"prompt": "a bell", "max_tokens": 4});
    let mut echoed = plain.clone();
    echoed["echo"] = true.into();
    let told = server.post("/v1/completions", &echoed);
    let text = server.post("/v1/completions", &plain)["choices"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(told["choices"][0]["text"], format!("a bell{text}"));
    assert_eq!(told["choices"][0]["logprobs"], Value::Null);
}

#[test]
fn what_cannot_be_told_is_refused() {
    let server = Server::start(ServeOptions::default());
    for keys in [json!({"suffix": "."}), json!({"stream": true}), json!({"diffusing": true})] {
        let mut body = json!({"prompt": "a bell", "echo": true});
        body.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let (status, error) = server.refused("/v1/completions", &body);
        assert_eq!((status, &error["param"]), (400, &json!("echo")));
        assert!(error["message"].as_str().unwrap().contains("/v1/score"), "{error}");
    }
    let (status, error) = server.refused("/v1/chat/completions", &chat(QUESTION, json!({"echo": true})));
    assert_eq!((status, &error["param"]), (400, &json!("echo")));
    let unknown = json!({"prompt": [1, 4_000_000_000_u32], "max_tokens": 0, "logprobs": 1, "echo": true});
    assert_eq!(server.refused("/v1/completions", &unknown).0, 400);
}
