//! A server of llada-tiny on a free port, and requests to it.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use llada::Model;
use llada_serve::{ServeOptions, Service, serve};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};
use ureq::{Agent, Body, http::Response};

pub(crate) const QUESTION: &str = "What is 345 + 78?";

pub(crate) fn tiny() -> Model {
    Model::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/llada-tiny")).unwrap()
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    agent: Agent,
    shutdown: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    runtime: Runtime,
}

impl Server {
    pub(crate) fn start(options: ServeOptions) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = Service::new(tiny(), options).unwrap();
        let (shutdown, ended) = oneshot::channel::<()>();
        let served = runtime.spawn(async move {
            let ended = async { drop(ended.await) };
            serve(listener, service, Duration::from_secs(5), ended).await.unwrap();
        });
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(300)));
        Self { address, agent: config.build().into(), shutdown: Some(shutdown), served: Some(served), runtime }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn send(&self, path: &str, body: &Value) -> Response<Body> {
        self.agent.post(self.url(path)).send_json(body).unwrap()
    }

    /// Sends a request that is to succeed.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        let mut response = self.send(path, body);
        let status = response.status();
        let value = response.body_mut().read_json().unwrap();
        assert_eq!(status, 200, "{value}");
        value
    }

    /// Sends a request that is to fail, and returns the status and the error.
    pub(crate) fn refused(&self, path: &str, body: &Value) -> (u16, Value) {
        let mut response = self.send(path, body);
        let mut value: Value = response.body_mut().read_json().unwrap();
        (response.status().as_u16(), value["error"].take())
    }

    pub(crate) fn get(&self, path: &str) -> Response<Body> {
        self.agent.get(self.url(path)).call().unwrap()
    }

    pub(crate) fn get_with(&self, path: &str, header: &str, value: &str) -> Response<Body> {
        self.agent.get(self.url(path)).header(header, value).call().unwrap()
    }

    pub(crate) fn post_with(&self, path: &str, body: &Value, header: &str, value: &str) -> Response<Body> {
        self.agent.post(self.url(path)).header(header, value).send_json(body).unwrap()
    }

    pub(crate) fn delete(&self, path: &str) -> u16 {
        self.agent.delete(self.url(path)).call().unwrap().status().as_u16()
    }

    /// The value of a metric, 0 if it was never counted.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body_mut().read_to_string().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a metric has a value.
    pub(crate) fn await_metric(&self, name: &str, value: f64) {
        for _ in 0..600 {
            if self.metric(name) == value {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{name} is {} and not {value}", self.metric(name));
    }

    /// Waits until a path has a status.
    pub(crate) fn await_status(&self, path: &str, status: u16) {
        for _ in 0..600 {
            if self.get(path).status() == status {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{path} never has status {status}");
    }

    /// Begins to shut down, and does not wait.
    pub(crate) fn begin_shutdown(&mut self) {
        drop(self.shutdown.take());
    }

    /// Waits until the server has ended.
    pub(crate) fn await_end(&mut self) {
        let served = self.served.take().unwrap();
        self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), served).await }).unwrap().unwrap();
    }
}

/// A question to llada-tiny, with these keys besides.
pub(crate) fn chat(question: &str, keys: Value) -> Value {
    let mut body = json!({
        "messages": [{"role": "user", "content": question}], "max_tokens": 32,
        "diffusion": {"decoder": "schedule", "steps": 32, "block_length": 32},
    });
    body.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    body
}

/// An event of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sent {
    pub(crate) event: Option<String>,
    pub(crate) id: Option<u64>,
    pub(crate) data: Value,
}

/// Reads a stream to its end, which is `[DONE]` for those that have it.
pub(crate) fn events(mut response: Response<Body>) -> Vec<Sent> {
    if response.status() != 200 {
        panic!("{}", response.body_mut().read_to_string().unwrap());
    }
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    read_events(response.into_body().into_reader(), usize::MAX)
}

pub(crate) fn read_events(reader: impl Read, count: usize) -> Vec<Sent> {
    let (mut all, mut sent, mut is_done) = (Vec::new(), Sent::default(), false);
    for line in BufReader::new(reader).lines() {
        let line = line.unwrap();
        assert!(!is_done || line.is_empty(), "after [DONE]: {line}");
        if let Some(event) = line.strip_prefix("event: ") {
            sent.event = Some(event.to_owned());
        } else if let Some(id) = line.strip_prefix("id: ") {
            sent.id = Some(id.parse().unwrap());
        } else if line == "data: [DONE]" {
            is_done = true;
        } else if let Some(data) = line.strip_prefix("data: ") {
            sent.data = serde_json::from_str(data).unwrap();
            all.push(std::mem::take(&mut sent));
            if all.len() == count {
                return all;
            }
        }
    }
    all
}

pub(crate) fn content(body: &Value) -> &str {
    body["choices"][0]["message"]["content"].as_str().unwrap()
}
