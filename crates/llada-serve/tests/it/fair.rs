//! Owners of keys have equal shares, however much each of them asks.

use std::{
    num::NonZeroUsize,
    thread,
    time::{Duration, Instant},
};

use llada_serve::{EngineLimits, ServeOptions};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::server::{QUESTION, Server, chat};

#[test]
fn one_who_asks_little_does_not_wait_for_one_who_asks_much() {
    let line = |name: &str| {
        let digest: String = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name} {digest}\n")
    };
    let keys = [line("ada"), line("bob")].concat().parse().unwrap();
    let limits = EngineLimits { max_running: NonZeroUsize::new(2).unwrap(), ..EngineLimits::default() };
    let server = Server::start(ServeOptions { keys, limits, ..ServeOptions::default() });
    let ask = |key: &str| {
        let body = chat(QUESTION, json!({}));
        let start = Instant::now();
        let response = server.post_with("/v1/chat/completions", &body, "authorization", &format!("Bearer {key}"));
        assert_eq!(response.status(), 200);
        start.elapsed()
    };
    ask("bob");
    thread::scope(|scope| {
        let much: Vec<_> = (0..12).map(|_| scope.spawn(|| ask("ada"))).collect();
        thread::sleep(Duration::from_millis(50));
        let little = ask("bob");
        let slowest = much.into_iter().map(|client| client.join().unwrap()).max().unwrap();
        assert!(little * 2 < slowest, "bob waited {little:?}, and ada {slowest:?} for twelve");
    });
}
