//! Decisions, in both of their forms.

use llada_serve::ServeOptions;
use serde_json::{Value, json};

use crate::server::{QUESTION, Server};

#[test]
fn questions_are_decided_with_probabilities() {
    let server = Server::start(ServeOptions::default());
    let body = json!({
        "input": "", "mc_num": 16, "questions": [
            {"type": "choice", "name": "sum", "instructions": QUESTION, "choices": [{"value": "423"}, {"value": "413"}]},
            {"type": "predicate", "name": "sky", "instructions": "Is the sky blue?"},
            {"type": "score", "name": "size", "instructions": QUESTION, "levels": [{"label": "123"}, {"label": "423"}]},
        ],
    });
    let decided = server.post("/v1/decisions", &body);
    let answers = decided["answers"].as_array().unwrap();
    assert_eq!((&answers[0]["name"], &answers[0]["choice"]), (&json!("sum"), &json!("423")), "{decided}");
    let sum: f64 =
        answers[0]["probabilities"].as_array().unwrap().iter().map(|p| p["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    let truth = answers[1]["probability"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&truth));
    assert!(answers[2]["score"].as_f64().unwrap() > 0.5, "{decided}");
    assert!(decided["usage"]["input_tokens"].as_u64().unwrap() > 0);
    // The same questions get the same answers.
    assert_eq!(server.post("/v1/decisions", &body)["answers"], decided["answers"]);
}

#[test]
fn system_one_names_its_questions() {
    let server = Server::start(ServeOptions::default());
    let body = json!({
        "state": "", "mc_num": 16, "questions": {
            "sum": {"type": "choice", "instructions": QUESTION, "criteria": {"413": null, "423": null}},
            "sky": {"type": "noul", "instructions": "Is the sky blue?"},
        },
    });
    for path in ["/v1/systemone", "/v1/decisions"] {
        let decided = server.post(path, &body);
        assert_eq!(decided["answers"]["sum"]["choice"], "423", "{decided}");
        assert!(decided["answers"]["sky"]["noul"].is_number());
    }
}

#[test]
fn impossible_questions_are_refused_in_their_form() {
    let server = Server::start(ServeOptions::default());
    let one = json!([{"type": "choice", "instructions": "?", "choices": [{"value": "a"}]}]);
    let (status, error) = server.refused("/v1/decisions", &json!({"input": "", "questions": one}));
    assert_eq!(status, 400, "{error}");
    let (status, _) = server.refused("/v1/decisions", &json!({"input": "", "questions": []}));
    assert_eq!(status, 400);
    let mut response = server.send("/v1/systemone", &json!({"state": "", "questions": {"a": {"type": "what"}}}));
    assert_eq!(response.status(), 422);
    let body: Value = response.body_mut().read_json().unwrap();
    assert!(body["detail"][0]["msg"].is_string(), "{body}");
}
