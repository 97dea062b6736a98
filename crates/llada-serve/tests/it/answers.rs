//! Whole answers.

use llada::{Message, Request, SamplerConfig};
use llada_serve::ServeOptions;
use serde_json::{Value, json};

use crate::server::{QUESTION, Server, chat, content, tiny};

#[test]
fn a_chat_is_answered_with_what_it_took() {
    let server = Server::start(ServeOptions::default());
    let answer = server.post("/v1/chat/completions", &chat(QUESTION, json!({"seed": 7})));
    assert_eq!(content(&answer), "423");
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("llada")));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["diffusion"], json!({"seed": 7, "stop_reason": "eos"}));
    let usage = &answer["usage"];
    assert_eq!(
        usage["total_tokens"],
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap()
    );
    assert_eq!((&usage["diffusion"]["nfe"], &usage["diffusion"]["canvas_tokens"]), (&json!(32), &json!(32)));
}

#[test]
fn defaults_answer_too() {
    let server = Server::start(ServeOptions::default());
    let answer = server.post("/v1/chat/completions", &json!({"messages": [{"role": "user", "content": QUESTION}]}));
    assert_eq!(content(&answer), "423");
    assert!(answer["usage"]["diffusion"]["nfe"].as_u64().unwrap() < 32);
    let prompt = tiny().tokenizer().unwrap().render_chat(&[Message::new("user", QUESTION)]).unwrap();
    let completed = server.post("/v1/completions", &json!({"prompt": prompt}));
    assert_eq!((&completed["object"], &completed["choices"][0]["text"]), (&json!("text_completion"), &json!("423")));
}

/// Eight clients at once, at a temperature: each gets the tokens that the library gives to its seed.
#[test]
fn answers_are_those_of_the_library_whoever_else_asks() {
    let server = Server::start(ServeOptions::default());
    let mut model = tiny();
    let prompt = model.tokenizer().unwrap().encode_chat(&[Message::new("user", QUESTION)]).unwrap();
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let body = |seed: u64| {
            let diffusion =
                json!({"decoder": "schedule", "steps": 8, "block_length": 16, "temperature": 2.0, "trace": true});
            chat(QUESTION, json!({"seed": seed, "diffusion": diffusion}))
        };
        let server = &server;
        let clients: Vec<_> =
            (0..8).map(|seed| scope.spawn(move || server.post("/v1/chat/completions", &body(seed)))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for (seed, answer) in (0..).zip(answers) {
        let config = SamplerConfig {
            gen_length: 32,
            steps: Some(8),
            block_length: Some(16),
            temperature: 2.0,
            seed,
            ..Default::default()
        };
        let alone = model.generate(&Request::new(prompt.as_slice(), config)).unwrap();
        assert_eq!(content(&answer), alone.text);
        assert_eq!(answer["diffusion"]["trace"], json!(alone.trace), "seed {seed}");
    }
}

#[test]
fn several_answers_have_ascending_seeds() {
    let server = Server::start(ServeOptions::default());
    let warm = json!({"seed": 3, "temperature": 2.0, "n": 3});
    let answer = server.post("/v1/chat/completions", &chat(QUESTION, warm));
    let seeds: Vec<_> = answer["diffusion"].as_array().unwrap().iter().map(|report| &report["seed"]).collect();
    assert_eq!(seeds, [3, 4, 5]);
    let single = server.post("/v1/chat/completions", &chat(QUESTION, json!({"seed": 4, "temperature": 2.0})));
    assert_eq!(answer["choices"][1]["message"]["content"], content(&single));
    assert_eq!(answer["usage"]["diffusion"]["nfe"], 96);
}

#[test]
fn a_stop_text_ends_the_answer_before_it() {
    let server = Server::start(ServeOptions::default());
    let answer = server.post("/v1/chat/completions", &chat(QUESTION, json!({"stop": "3"})));
    assert_eq!((content(&answer), &answer["choices"][0]["finish_reason"]), ("42", &json!("stop")));
}

#[test]
fn a_deadline_hurries_the_answer_and_does_not_break_it() {
    let server = Server::start(ServeOptions::default());
    let body = |deadline: u64| {
        let diffusion = json!({"decoder": "schedule", "steps": 200, "block_length": 200, "deadline_ms": deadline});
        chat(QUESTION, json!({"max_tokens": 200, "diffusion": diffusion}))
    };
    // So that the time of a step is known.
    server.post("/v1/chat/completions", &chat(QUESTION, json!({})));
    let answer = server.post("/v1/chat/completions", &body(100));
    assert!(answer["usage"]["diffusion"]["nfe"].as_u64().unwrap() < 200, "{answer}");
    assert_eq!(answer["diffusion"]["stop_reason"], "deadline");
    assert_eq!(server.metric("llada_hurried_total"), 1.0);
}

#[test]
fn an_answer_that_ignores_its_end_has_the_length_that_was_asked_for() {
    let server = Server::start(ServeOptions::default());
    let body = json!({"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 16, "ignore_eos": true});
    let answer = server.post("/v1/chat/completions", &body);
    assert_eq!(answer["usage"]["completion_tokens"], 16, "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[test]
fn logprobs_are_told_of_every_token() {
    let server = Server::start(ServeOptions::default());
    let asked = json!({"logprobs": true, "top_logprobs": 2});
    let answer = server.post("/v1/chat/completions", &chat(QUESTION, asked.clone()));
    let tokens = answer["choices"][0]["logprobs"]["content"].as_array().unwrap();
    let text: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(text, "423");
    assert_eq!(tokens.len() as u64, answer["usage"]["completion_tokens"].as_u64().unwrap());
    for token in tokens {
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!((top.len(), &top[0]["token"]), (2, &token["token"]), "{token}");
        assert!((-1.0..=0.0).contains(&token["logprob"].as_f64().unwrap()), "{token}");
    }
    let prompt = tiny().tokenizer().unwrap().render_chat(&[Message::new("user", QUESTION)]).unwrap();
    let completed = server.post("/v1/completions", &json!({"prompt": prompt, "max_tokens": 32, "logprobs": 1}));
    let logprobs = &completed["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"].as_array().unwrap().len(), logprobs["token_logprobs"].as_array().unwrap().len());
    assert_eq!(logprobs["text_offset"][0], 0);
    // What a constraint forces is certain.
    let forced = json!({"logprobs": true, "diffusion": {"constraint": {"choice": ["423"]}}});
    let forced = server.post("/v1/chat/completions", &chat(QUESTION, forced));
    assert_eq!(forced["choices"][0]["logprobs"]["content"][0]["logprob"], 0.0);
    for refused in [json!({"logprobs": true, "top_logprobs": 21}), json!({"top_logprobs": 2})] {
        let (status, error) = server.refused("/v1/chat/completions", &chat(QUESTION, refused));
        assert_eq!((status, &error["param"]), (400, &json!("top_logprobs")));
    }
}

#[test]
fn answers_are_scored() {
    let server = Server::start(ServeOptions::default());
    let scored = server.post(
        "/v1/score",
        &json!({"messages": [{"role": "user", "content": QUESTION}], "answers": ["423", "999"], "mc_num": 16, "seed": 1}),
    );
    let likelihood = |index: usize| scored["scores"][index]["log_likelihood"].as_f64().unwrap();
    assert!(likelihood(0) > likelihood(1) + 1.0, "{scored}");
    assert_eq!(server.metric("llada_scores_total"), 1.0);
}

#[test]
fn a_server_tells_what_it_serves() {
    let options = ServeOptions { model_names: vec!["llada-tiny".into(), "tiny".into()], ..ServeOptions::default() };
    let server = Server::start(options);
    let read = |path: &str| server.get(path).body_mut().read_json::<Value>().unwrap();
    let names: Vec<Value> =
        read("/v1/models")["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(names, ["llada-tiny", "tiny"]);
    assert_eq!(read("/v1/models/tiny")["max_model_len"], tiny().engine().predictor().config().max_sequence_length);
    assert_eq!(read("/health")["status"], "ok");
    assert_eq!(read("/health/ready")["status"], "ok");
    let tokens = server.post("/tokenize", &json!({"prompt": "a bell"}));
    assert_eq!(server.post("/detokenize", &json!({"tokens": tokens["tokens"]}))["prompt"], "a bell");
    assert_eq!(server.post("/v1/chat/completions", &chat(QUESTION, json!({"model": "tiny"})))["model"], "llada-tiny");
}

#[test]
fn every_documented_path_is_served() {
    let server = Server::start(ServeOptions::default());
    let document: Value = server.get("/openapi.json").body_mut().read_json().unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 18);
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{id}", "nothing");
            let response = match method.as_str() {
                "get" => server.get(&path),
                "post" => server.send(&path, &json!([])),
                _ => continue,
            };
            let status = response.status().as_u16().to_string();
            let known = &methods[method]["responses"][&status];
            assert!(known.is_object(), "{method} {path} answers {status}");
        }
    }
}
