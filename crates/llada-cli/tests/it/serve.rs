//! `llada serve`: its address, its end, and what it refuses to start with.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::tempdir;

use crate::{book::root, command, stderr};

/// A server of llada-tiny, and its address.
fn begin(args: &[&str]) -> (Child, BufReader<std::process::ChildStderr>, String) {
    let mut command = command();
    command.args(["serve", "--port", "0", "--model"]).arg(root().join("models/llada-tiny")).args(args);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().strip_suffix("/v1").unwrap().to_owned();
    (child, lines, address)
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn a_server_says_where_it_listens_and_ends_in_order_at_a_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (mut child, mut lines, address) = begin(&["--log-format", "json", "--served-model-name", "tiny"]);
        let models = get(&address, "/v1/models");
        assert!(models.starts_with("HTTP/1.1 200") && models.contains("\"tiny\""), "{models}");
        assert!(get(&address, "/").contains("<!doctype html>"));
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let mut log = String::new();
        lines.read_to_string(&mut log).unwrap();
        let logged: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(logged[0]["fields"]["path"], "/v1/models", "{log}");
    }
}

#[test]
fn what_cannot_be_served_is_refused_before_the_model_is_loaded() {
    let folder = tempdir().unwrap();
    let keys = folder.path().join("keys.txt");
    let keys = keys.to_str().unwrap();
    for (text, args, message) in [
        ("", vec!["--host", "0.0.0.0"], "--api-keys FILE"),
        ("", vec!["--api-keys", keys], "has no keys"),
        ("ada 12\n", vec!["--api-keys", keys], "line 1"),
        ("", vec!["--host", "no host"], "--host no host"),
        ("", vec!["--cache-memory", "much"], "not a number"),
    ] {
        fs::write(keys, text).unwrap();
        let output = command().args(["serve", "--model", "no-model"]).args(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(message), "{args:?}: {}", stderr(&output));
    }
}
