//! Gaps: infilling, and completions with a suffix.

use llada::Message;
use llada_serve::ServeOptions;
use serde_json::{Value, json};

use crate::server::{QUESTION, Server, events, tiny};

#[test]
fn holes_are_filled_with_their_patterns() {
    let server = Server::start(ServeOptions::default());
    let template = json!([
        "In the castle lived a ", {"mask": [1, 4], "name": "who", "regex": "[a-z]+"}, " with a ", {"mask": 1, "choice": ["bell"]}, "."
    ]);
    let filled = server.post("/v1/infill", &json!({"template": template}));
    let holes = filled["holes"].as_array().unwrap();
    assert_eq!((&holes[0]["name"], &holes[1]["text"]), (&json!("who"), &json!("bell")), "{filled}");
    let who = holes[0]["text"].as_str().unwrap();
    assert!(!who.is_empty() && who.chars().all(|c| c.is_ascii_lowercase()), "{who}");
    assert_eq!(filled["text"], format!("In the castle lived a {who} with a bell."));
    let confidence = holes[0]["confidence"].as_f64().unwrap();
    assert!(confidence > 0.0 && confidence <= 1.0);
}

#[test]
fn impossible_templates_are_refused() {
    let server = Server::start(ServeOptions::default());
    for (template, param) in [
        (json!(["no hole"]), "template"),
        (json!(["a", {"mask": 0}]), "template[1].mask"),
        (json!([{"mask": 1}, {"mask": 2}]), "template[1]"),
        (json!(["a", {"mask": [1, 100]}]), "template[1].mask"),
        (json!(["a", {"mask": 1, "regex": "a", "choice": ["a"]}]), "template[1]"),
    ] {
        let (status, error) = server.refused("/v1/infill", &json!({"template": template}));
        assert_eq!((status, error["param"].as_str()), (400, Some(param)), "{error}");
    }
}

#[test]
fn a_completion_with_a_suffix_is_what_lies_between() {
    let server = Server::start(ServeOptions::default());
    let body =
        json!({"prompt": "In the castle lived a", "suffix": " with a bell. It was never angry.", "max_tokens": 4});
    for path in ["/v1/completions", "/v1/fim/completions"] {
        let answer = server.post(path, &body);
        let text = answer["choices"][0]["text"].as_str().unwrap();
        assert!(!text.contains("castle") && !text.contains("bell"), "{answer}");
        let mut streamed = body.clone();
        streamed["stream"] = true.into();
        let chunks = events(server.send(path, &streamed));
        let deltas: String = chunks.iter().map(|sent| sent.data["choices"][0]["text"].as_str().unwrap()).collect();
        assert_eq!(deltas, text);
    }
    // Of the sum only the digit in the middle is missing.
    let prompt = tiny().tokenizer().unwrap().render_chat(&[Message::new("user", QUESTION)]).unwrap() + "4";
    let digit = server.post("/v1/completions", &json!({"prompt": prompt, "suffix": "3", "max_tokens": 4}));
    assert_eq!(digit["choices"][0]["text"], "2", "{digit}");
    let empty = server.post("/v1/completions", &json!({"prompt": "a", "suffix": null, "max_tokens": 2}));
    assert!(empty["choices"][0]["text"].is_string());
}

#[test]
fn a_gap_that_does_not_fit_is_refused() {
    let server = Server::start(ServeOptions::default());
    let body: Value = json!({"prompt": "a", "suffix": "b", "max_tokens": 1_000_000});
    let (status, error) = server.refused("/v1/completions", &body);
    assert_eq!((status, error["code"].as_str()), (400, Some("context_length_exceeded")), "{error}");
}
