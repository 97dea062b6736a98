//! Requests that are refused, and why.

use std::{
    io::{Read, Write},
    net::TcpStream,
    num::NonZeroUsize,
    thread,
    time::Duration,
};

use llada_serve::{EngineLimits, ServeOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::server::{QUESTION, Server, chat, content};

/// A question that takes a second or more.
fn long() -> Value {
    chat(QUESTION, json!({"max_tokens": 200, "diffusion": {"decoder": "schedule", "steps": 200, "block_length": 200}}))
}

#[test]
fn errors_name_the_parameter() {
    let server = Server::start(ServeOptions::default());
    for (keys, status, code, param) in [
        (json!({"top_p": 0.5}), 400, "unsupported_parameter", "top_p"),
        (json!({"tempreature": 1}), 400, "unsupported_parameter", "tempreature"),
        (json!({"model": "gpt-5"}), 404, "model_not_found", "model"),
        (json!({"n": 99}), 400, "invalid_parameter", "n"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), 400, "invalid_parameter", "stop"),
        (json!({"max_tokens": 0}), 400, "invalid_parameter", "max_tokens"),
        (json!({"max_tokens": 1_000_000}), 400, "context_length_exceeded", "messages"),
        (json!({"messages": []}), 400, "invalid_parameter", "messages"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            400,
            "unsupported_parameter",
            "messages[0].content",
        ),
        (json!({"diffusion": {"stepz": 3}}), 400, "invalid_parameter", "diffusion.stepz"),
        (json!({"diffusion": {"decoder": "nope"}}), 400, "invalid_parameter", "diffusion.decoder"),
    ] {
        let (got, error) = server.refused("/v1/chat/completions", &chat(QUESTION, keys));
        assert_eq!((got, &error["code"], &error["param"]), (status, &json!(code), &json!(param)), "{error}");
        assert!(error["message"].as_str().unwrap().len() > 5 && error["type"].is_string());
    }
    let (status, error) = server.refused("/v1/responses", &json!({}));
    assert_eq!((status, &error["code"]), (404, &json!("not_found")));
    assert_eq!(server.get("/v1/chat/completions").status(), 405);
}

#[test]
fn bodies_that_are_no_json_or_too_large_are_refused() {
    let server = Server::start(ServeOptions { max_body: 4096, ..ServeOptions::default() });
    let raw = |head: &str, body: &[u8]| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\n{head}content-length: {}\r\nconnection: close\r\n\r\n",
            server.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A server that has refused a body may not read all of it.
        let _ = stream.write_all(body);
        let mut response = String::new();
        let _ = stream.read_to_string(&mut response);
        response.split(' ').nth(1).unwrap().to_owned()
    };
    let json = "content-type: application/json\r\n";
    assert_eq!(raw(json, b"{"), "400");
    assert_eq!(raw(json, b"[]"), "400");
    assert_eq!(raw("", b"{}"), "415");
    assert_eq!(raw(json, &[b' '; 8192]), "413");
    assert_eq!(content(&server.post("/v1/chat/completions", &chat(QUESTION, json!({})))), "423");
}

#[test]
fn other_names_of_a_local_server_are_refused() {
    let server = Server::start(ServeOptions::default());
    assert_eq!(server.get_with("/v1/models", "host", "evil.example").status(), 403);
    assert_eq!(server.get_with("/v1/models", "origin", "http://evil.example").status(), 403);
    assert_eq!(server.get_with("/v1/models", "host", "localhost:1").status(), 200);
    assert_eq!(server.get_with("/v1/models", "x-request-id", "mine").headers()["x-request-id"], "mine");
}

#[test]
fn keys_are_asked_for() {
    let digest: String = Sha256::digest("secret").iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = format!("ada {digest}").parse().unwrap();
    let server = Server::start(ServeOptions { keys, ..ServeOptions::default() });
    assert_eq!(server.get("/v1/models").status(), 401);
    assert_eq!(server.get_with("/v1/models", "authorization", "Bearer wrong").status(), 401);
    assert_eq!(server.get_with("/v1/models", "authorization", "Bearer secret").status(), 200);
    assert_eq!(server.get("/health/ready").status(), 200);
}

#[test]
fn the_requests_of_a_key_are_limited() {
    let digest: String = Sha256::digest("secret").iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = format!("ada {digest} requests_per_minute=2").parse().unwrap();
    let server = Server::start(ServeOptions { keys, ..ServeOptions::default() });
    let ask = || server.get_with("/v1/models", "authorization", "Bearer secret");
    assert_eq!([ask().status(), ask().status()], [200; 2]);
    let refused = ask();
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(server.metric("llada_requests_rejected_total{reason=\"rate_limited\"}"), 1.0);
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let one = NonZeroUsize::new(1).unwrap();
    let limits = EngineLimits { max_running: one, max_queue: 0, ..EngineLimits::default() };
    let server = Server::start(ServeOptions { limits, ..ServeOptions::default() });
    thread::scope(|scope| {
        let running = scope.spawn(|| server.post("/v1/chat/completions", &long()));
        server.await_metric("llada_num_requests_running", 1.0);
        let refused = server.send("/v1/chat/completions", &chat(QUESTION, json!({})));
        assert_eq!(refused.status(), 429);
        assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        running.join().unwrap();
    });
    assert_eq!(server.metric("llada_requests_rejected_total{reason=\"queue_full\"}"), 1.0);
}

#[test]
fn a_deadline_that_passes_in_the_queue_is_told() {
    let limits = EngineLimits { max_running: NonZeroUsize::new(1).unwrap(), ..EngineLimits::default() };
    let server = Server::start(ServeOptions { limits, ..ServeOptions::default() });
    thread::scope(|scope| {
        let running = scope.spawn(|| server.post("/v1/chat/completions", &long()));
        server.await_metric("llada_num_requests_running", 1.0);
        let late = chat(QUESTION, json!({"diffusion": {"deadline_ms": 1}}));
        let (status, error) = server.refused("/v1/chat/completions", &late);
        assert_eq!((status, &error["code"]), (504, &json!("deadline_exceeded")));
        running.join().unwrap();
    });
}

#[test]
fn caches_that_do_not_fit_are_refused() {
    let limits = EngineLimits { max_cache_bytes: 1000, ..EngineLimits::default() };
    let server = Server::start(ServeOptions { limits, ..ServeOptions::default() });
    let cached =
        chat(QUESTION, json!({"diffusion": {"cache": "dual", "block_length": 8, "decoder": "schedule", "steps": 32}}));
    let (status, error) = server.refused("/v1/chat/completions", &cached);
    assert_eq!((status, &error["code"]), (400, &json!("context_length_exceeded")), "{error}");
    assert_eq!(content(&server.post("/v1/chat/completions", &chat(QUESTION, json!({})))), "423");
}

#[test]
fn a_server_that_ends_completes_what_it_has_begun_and_refuses_what_comes() {
    let mut server = Server::start(ServeOptions::default());
    let address = server.address;
    let running = thread::spawn({
        let (url, body) = (server.url("/v1/chat/completions"), long());
        move || {
            let mut response = ureq::post(url).send_json(body).unwrap();
            response.body_mut().read_json::<Value>().unwrap()
        }
    });
    server.await_metric("llada_num_requests_running", 1.0);
    server.begin_shutdown();
    server.await_status("/health/ready", 503);
    assert_eq!(server.get("/health").status(), 200);
    let (status, error) = server.refused("/v1/chat/completions", &chat(QUESTION, json!({})));
    assert_eq!((status, &error["code"]), (503, &json!("draining")));
    let answer = running.join().unwrap();
    assert!(answer["choices"][0]["finish_reason"].is_string(), "{answer}");
    server.await_end();
    assert!(TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err());
}
