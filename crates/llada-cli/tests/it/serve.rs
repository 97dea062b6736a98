//! `llada serve`: its address, its end, and what it refuses to start with.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStderr, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::tempdir;

use crate::{book::root, command, stderr};

/// A server of llada-tiny.
pub(crate) struct Server {
    child: Child,
    lines: BufReader<ChildStderr>,
    address: String,
    /// What it said before its address.
    pub(crate) before: String,
}

impl Server {
    pub(crate) fn start(args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command();
        command.args(["serve", "--port", "0", "--model"]).arg(root().join("models/llada-tiny")).args(args);
        command.envs(environment.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self { child, lines, address: String::new(), before: String::new() };
        while server.address.is_empty() {
            let mut line = String::new();
            assert_ne!(server.lines.read_line(&mut line).unwrap(), 0, "{}", server.before);
            match line.trim().strip_prefix("listening on http://") {
                Some(url) => url.strip_suffix("/v1").unwrap().clone_into(&mut server.address),
                None => server.before += &line,
            }
        }
        server
    }

    /// Sends a request with these headers, and returns the response.
    pub(crate) fn ask(&self, path: &str, headers: &str, body: Option<&str>) -> String {
        let Self { address, .. } = self;
        let (method, body) = (if body.is_some() { "POST" } else { "GET" }, body.unwrap_or_default());
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}");
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{head}\r\n{headers}\r\n{body}").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// Ends the server with a signal, and returns what it has logged.
    pub(crate) fn end(mut self, signal: Signal) -> String {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        let mut log = String::new();
        self.lines.read_to_string(&mut log).unwrap();
        log
    }
}

#[test]
fn a_server_says_where_it_listens_and_ends_in_order_at_a_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Server::start(&["--log-format", "json", "--served-model-name", "tiny"], &[]);
        let models = server.ask("/v1/models", "x-request-id: mine\r\n", None);
        assert!(models.starts_with("HTTP/1.1 200") && models.contains("\"tiny\""), "{models}");
        assert!(server.ask("/", "", None).contains("<!doctype html>"));
        let log = server.end(signal);
        let logged: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(logged[0]["fields"]["path"], "/v1/models", "{log}");
        assert_eq!(logged[0]["span"]["request_id"], "mine", "{log}");
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
