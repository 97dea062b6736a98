//! The clients, by kind.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use ureq::Agent;

use crate::questions::Questions;

/// How long a client waits for anything.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How a client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Asks and reads.
    Whole,
    /// Reads a stream as it comes.
    Stream,
    /// Reads a stream a few bytes a time.
    Slow,
    /// Goes after the first event of a stream.
    HangUp,
    /// Sends a body that is no JSON, or none that means anything.
    Broken,
    /// Sends more than is allowed.
    Oversized,
    /// Asks for what would take forever.
    Hostile,
    /// Connects, sends half a head, and stays.
    HalfOpen,
}

/// What came of a visit.
pub(crate) enum Outcome {
    /// The answer that was due, after so long, and the time to the first text if it was a stream.
    Answered { seconds: f64, first: Option<f64> },
    /// What was refused as it should be, with this status.
    Refused(u16),
    /// The client went, as it meant to.
    Gone,
    /// The server is ending.
    Ending,
    /// Not what was due.
    Wrong(String),
}

impl Kind {
    /// Returns the kind of a client among `all`: six in ten ask, the others are of all kinds.
    pub(crate) fn of(client: usize, all: usize) -> Self {
        match client * 20 / all {
            0..12 => Self::Whole,
            12..14 => Self::Stream,
            14 => Self::Slow,
            15 => Self::HangUp,
            16 => Self::Broken,
            17 => Self::Oversized,
            18 => Self::Hostile,
            _ => Self::HalfOpen,
        }
    }

    pub(crate) fn visit(self, address: SocketAddr, questions: &Questions, number: usize) -> Outcome {
        let (body, expected) = questions.get(number);
        let visited = match self {
            Self::Whole => whole(address, body, expected),
            Self::Stream => stream(address, body, expected, Duration::ZERO),
            Self::Slow => stream(address, body, expected, Duration::from_millis(50)),
            Self::HangUp => hang_up(address, body),
            Self::Broken => refused(address, ["{", "[]", "{\"messages\": 7}", "\u{0}"][number % 4]),
            Self::Oversized => refused(address, &" ".repeat(2 << 20)),
            Self::Hostile => refused(address, &hostile(number)),
            Self::HalfOpen => half_open(address),
        };
        visited.unwrap_or_else(|error| Outcome::Wrong(error.to_string()))
    }
}

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build().into()
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/v1/chat/completions")
}

fn whole(address: SocketAddr, body: &Value, expected: &str) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let mut response = match agent().post(url(address)).send_json(body) {
        Ok(response) => response,
        Err(error) => return Ok(unreachable(&error)),
    };
    let status = response.status().as_u16();
    let answer: Value = response.body_mut().read_json()?;
    Ok(match status {
        200 if answer["choices"][0]["message"]["content"] == expected => {
            Outcome::Answered { seconds: start.elapsed().as_secs_f64(), first: None }
        }
        503 => Outcome::Ending,
        429 => Outcome::Refused(429),
        _ => Outcome::Wrong(format!("{status}: {answer} and not {expected:?}")),
    })
}

/// A server that has ended is not there; everything else is a fault.
fn unreachable(error: &ureq::Error) -> Outcome {
    match error {
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => Outcome::Ending,
        error => Outcome::Wrong(error.to_string()),
    }
}

fn stream(address: SocketAddr, body: &Value, expected: &str, pause: Duration) -> anyhow::Result<Outcome> {
    let mut body = body.clone();
    body["stream"] = true.into();
    let start = Instant::now();
    let response = match agent().post(url(address)).send_json(&body) {
        Ok(response) => response,
        Err(error) => return Ok(unreachable(&error)),
    };
    match response.status().as_u16() {
        200 => (),
        503 => return Ok(Outcome::Ending),
        429 => return Ok(Outcome::Refused(429)),
        status => return Ok(Outcome::Wrong(format!("{status} for a stream"))),
    }
    let (mut text, mut first) = (String::new(), None);
    let reader = Dripping { inner: response.into_body().into_reader(), pause };
    for line in BufReader::with_capacity(64, reader).lines() {
        let line = line?;
        let Some(data) = line.strip_prefix("data: ") else { continue };
        if data == "[DONE]" {
            let seconds = start.elapsed().as_secs_f64();
            let is_right = text == expected;
            return Ok(if is_right {
                Outcome::Answered { seconds, first }
            } else {
                Outcome::Wrong(format!("streamed {text:?} and not {expected:?}"))
            });
        }
        let chunk: Value = serde_json::from_str(data)?;
        if chunk["error"]["code"] == "cancelled" {
            return Ok(Outcome::Ending);
        }
        if let Some(delta) = chunk["choices"][0]["delta"]["content"].as_str().filter(|delta| !delta.is_empty()) {
            first.get_or_insert(start.elapsed().as_secs_f64());
            text.push_str(delta);
        }
    }
    Ok(Outcome::Wrong("a stream broke off".to_owned()))
}

/// A reader that takes its time.
struct Dripping<R> {
    inner: R,
    pause: Duration,
}

impl<R: Read> Read for Dripping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        thread::sleep(self.pause);
        self.inner.read(buffer)
    }
}

fn hang_up(address: SocketAddr, body: &Value) -> anyhow::Result<Outcome> {
    let mut body = body.clone();
    body["stream"] = true.into();
    let response = match agent().post(url(address)).send_json(&body) {
        Ok(response) => response,
        Err(error) => return Ok(unreachable(&error)),
    };
    let mut start = [0; 16];
    let _ = response.into_body().into_reader().read(&mut start)?;
    Ok(Outcome::Gone)
}

fn refused(address: SocketAddr, body: &str) -> anyhow::Result<Outcome> {
    let sent = agent().post(url(address)).header("content-type", "application/json").send(body);
    Ok(match sent {
        Ok(response) => match response.status().as_u16() {
            status @ (400 | 413 | 422) => Outcome::Refused(status),
            503 => Outcome::Ending,
            429 => Outcome::Refused(429),
            status => Outcome::Wrong(format!("{status} for what should be refused")),
        },
        // A server need not read a body to its end before it refuses it.
        Err(ureq::Error::Io(io)) if body.len() > 1 << 20 && io.kind() != std::io::ErrorKind::ConnectionRefused => {
            Outcome::Refused(413)
        }
        Err(error) => unreachable(&error),
    })
}

fn hostile(number: usize) -> String {
    let chat = |keys: &str| format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"a\"}}], {keys}}}");
    match number % 5 {
        0 => chat("\"max_tokens\": 18446744073709551615"),
        1 => chat("\"n\": 100000"),
        2 => chat("\"response_format\": {\"type\": \"regex\", \"regex\": \"((a{1,1000}){1,1000}){1,1000}\"}"),
        3 => format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        _ => chat("\"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"schema\": {\"$ref\": \"#\"}}}"),
    }
}

fn half_open(address: SocketAddr) -> anyhow::Result<Outcome> {
    let Ok(mut stream) = TcpStream::connect(address) else { return Ok(Outcome::Ending) };
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    // The server may be ending while this is written.
    let _ = stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n");
    let _ = stream.read(&mut [0; 64]);
    Ok(Outcome::Gone)
}
