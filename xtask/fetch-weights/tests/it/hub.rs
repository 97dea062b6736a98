//! A hub, and the CDN it redirects to, which speak the protocol of the real ones and misbehave when told to.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

pub(crate) const MODEL: &str = "GSAI-ML/LLaDA-8B-Instruct";
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the hub says that it has counted.
const PARAMETERS: u64 = 8_015_581_184;

/// Written at once, so that a connection ends where it is told to.
const PIECE: usize = 4096;

/// A file of the model.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
    /// Whether it is kept on the CDN, as large files are.
    pub(crate) large: bool,
}

impl Stored {
    /// What names the content: the SHA-256 of a large file, git's SHA-1 of a small one.
    pub(crate) fn digest(&self) -> String {
        if self.large { hex(&Sha256::digest(&self.bytes)) } else { self.blob() }
    }

    fn blob(&self) -> String {
        let head = format!("blob {}\0", self.bytes.len());
        hex(&Sha1::new_with_prefix(head).chain_update(&self.bytes).finalize())
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) cdn: bool,
    pub(crate) path: String,
    /// The first byte, where not all was asked for.
    pub(crate) from: Option<u64>,
    pub(crate) token: Option<String>,
}

/// How it misbehaves. What is counted ends once it has happened as often.
#[derive(Default)]
pub(crate) struct Faults {
    /// Answers to requests for content, on the hub and on the CDN: status, and the seconds of `Retry-After`.
    pub(crate) hub: VecDeque<(u16, Option<u64>)>,
    pub(crate) cdn: VecDeque<(u16, Option<u64>)>,
    /// After as many bytes of a body the connection ends.
    pub(crate) cut_after: VecDeque<usize>,
    /// Answers whose last byte is another.
    pub(crate) flips: usize,
    pub(crate) ignore_range: bool,
    /// Of every content this many bytes are missing, and the headers agree.
    pub(crate) short_by: usize,
    /// Bytes that follow the content, whose length is not said.
    pub(crate) surplus: usize,
    /// The header X-Error-Code of a refusal of everything, and its status.
    pub(crate) refuse: Option<(u16, Option<&'static str>)>,
    /// The only token that is known.
    pub(crate) token: Option<&'static str>,
    /// What the list of files is changed to.
    pub(crate) listing: Option<fn(Value) -> Value>,
    /// Where redirects lead instead of to the CDN.
    pub(crate) location: Option<&'static str>,
    /// Bytes of content until somebody is told; who is told may hold this lock and so stop everything.
    pub(crate) alarm: Option<(usize, Sender<()>)>,
    /// Whether content stops when the alarm is given, its connection left open.
    pub(crate) stall: bool,
}

struct State {
    files: Vec<Stored>,
    faults: Mutex<Faults>,
    log: Mutex<Vec<Asked>>,
    cdn: String,
}

pub(crate) struct Hub {
    pub(crate) url: String,
    state: Arc<State>,
}

impl Hub {
    /// With the files of a model in miniature.
    pub(crate) fn start() -> Self {
        let listen = || TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let (hub, cdn) = (listen(), listen());
        let url = address(&hub);
        let state = State { files: files(), faults: Mutex::default(), log: Mutex::default(), cdn: address(&cdn) };
        let state = Arc::new(state);
        for (listener, is_cdn) in [(hub, false), (cdn, true)] {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let state = Arc::clone(&state);
                    // A client that goes away is none of the hub's faults.
                    thread::spawn(move || stream.and_then(|stream| state.serve(stream, is_cdn)));
                }
            });
        }
        Self { url, state }
    }

    pub(crate) fn files(&self) -> &[Stored] {
        &self.state.files
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.state.faults.lock().unwrap()
    }

    /// What was asked for since this was asked last.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.log.lock().unwrap())
    }
}

fn files() -> Vec<Stored> {
    let file = |path: &str, bytes: Vec<u8>, large| Stored { path: path.to_owned(), bytes, large };
    let index = json!({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).to_string();
    vec![
        file(".gitattributes", b"*.safetensors filter=lfs\n".to_vec(), false),
        file("config.json", b"{\"d_model\": 4}\n".to_vec(), false),
        file("docs/empty", Vec::new(), false),
        file("docs/more/with blank & \u{fc}.txt", b"The same, twice.\n".to_vec(), false),
        file("docs/more/again.txt", b"The same, twice.\n".to_vec(), false),
        file("model-1.safetensors", noise(1, 300_001), true),
        file("model-2.safetensors", noise(2, 200_000), true),
        file("model.safetensors.index.json", index.into_bytes(), false),
        file("tokenizer.json", noise(3, 100_000), true),
    ]
}

/// Bytes without a pattern.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(length)
    .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl State {
    fn serve(&self, mut stream: TcpStream, cdn: bool) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut asked = Asked { cdn, path: decoded(target), from: None, token: None };
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(": ") else { break };
            match name.to_lowercase().as_str() {
                "range" => asked.from = value.trim_start_matches("bytes=").trim_end_matches('-').parse().ok(),
                "authorization" => asked.token = Some(value.trim_start_matches("Bearer ").to_owned()),
                _ => {}
            }
        }
        self.log.lock().unwrap().push(asked.clone());
        let body = method == "GET";
        let path = asked.path.split('?').next().unwrap_or_default().to_owned();
        if let Some(file) = path.strip_prefix("/cdn/").filter(|_| cdn) {
            return self.content(stream, &asked, self.file(file), body);
        }
        if let Some((status, code)) = self.refusal(&asked) {
            let code = code.map(|code| format!("X-Error-Code: {code}\r\n")).unwrap_or_default();
            return head(&mut stream, status, &format!("{code}Content-Length: 0\r\n"));
        }
        if let Some(rest) = path.strip_prefix(&format!("/api/models/{MODEL}/")) {
            let said = if rest.starts_with("tree/") { self.tree() } else { self.listing() }.to_string();
            let length = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", said.len());
            head(&mut stream, 200, &length)?;
            return stream.write_all(if body { said.as_bytes() } else { b"" });
        }
        // Small files come from the hub itself, by way of another of its addresses, as on the real one.
        if let Some(file) = path.strip_prefix(&format!("/api/resolve-cache/{COMMIT}/")) {
            return self.content(stream, &asked, self.file(file), body);
        }
        let file = path.strip_prefix(&format!("/{MODEL}/resolve/")).and_then(|rest| Some(rest.split_once('/')?.1));
        let Some(file) = file.and_then(|file| self.file(file)) else {
            return head(&mut stream, 404, "X-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n");
        };
        let encoded = file.path.replace(' ', "%20").replace('\u{fc}', "%C3%BC").replace('&', "%26");
        let (status, location) = if file.large {
            (302, format!("{}/cdn/{encoded}", self.cdn))
        } else {
            (307, format!("/api/resolve-cache/{COMMIT}/{encoded}"))
        };
        let location = self.faults.lock().unwrap().location.map_or(location, str::to_owned);
        let (digest, size) = (file.digest(), file.bytes.len());
        let linked = if file.large {
            format!("X-Linked-ETag: \"{digest}\"\r\nX-Linked-Size: {size}\r\n")
        } else {
            String::new()
        };
        let headers = format!("X-Repo-Commit: {COMMIT}\r\n{linked}Location: {location}\r\nContent-Length: 0\r\n");
        head(&mut stream, status, &headers)
    }

    fn file(&self, path: &str) -> Option<&Stored> {
        self.files.iter().find(|file| file.path == path)
    }

    fn refusal(&self, asked: &Asked) -> Option<(u16, Option<&'static str>)> {
        let faults = self.faults.lock().unwrap();
        if asked.token.as_deref().is_some_and(|token| Some(token) != faults.token) {
            return Some((401, None));
        }
        faults.refuse
    }

    fn listing(&self) -> Value {
        let siblings: Vec<Value> = self
            .files
            .iter()
            .map(|file| {
                let size = file.bytes.len();
                let mut entry = json!({"rfilename": file.path, "size": size, "blobId": file.blob()});
                if file.large {
                    entry["lfs"] = json!({"sha256": file.digest(), "size": size, "pointerSize": 134});
                }
                entry
            })
            .collect();
        let counted = json!({"parameters": {"BF16": PARAMETERS}, "total": PARAMETERS});
        let said = json!({
            "id": MODEL, "modelId": MODEL, "private": false, "sha": COMMIT, "siblings": siblings, "safetensors": counted,
        });
        match self.faults.lock().unwrap().listing {
            Some(change) => change(said),
            None => said,
        }
    }

    fn tree(&self) -> Value {
        self.files
            .iter()
            .map(|file| {
                let size = file.bytes.len();
                let mut entry = json!({"type": "file", "path": file.path, "size": size, "oid": file.blob()});
                if file.large {
                    entry["lfs"] = json!({"oid": file.digest(), "size": size, "pointerSize": 134});
                }
                entry
            })
            .collect()
    }

    fn content(&self, mut stream: TcpStream, asked: &Asked, file: Option<&Stored>, body: bool) -> std::io::Result<()> {
        let Some(file) = file else {
            return head(&mut stream, 404, "Content-Length: 0\r\n");
        };
        let (mut bytes, mut headers, status, cut);
        {
            let mut faults = self.faults.lock().unwrap();
            let fault = if asked.cdn { faults.cdn.pop_front() } else { faults.hub.pop_front() };
            if let Some((status, wait)) = fault {
                let wait = wait.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
                return head(&mut stream, status, &format!("{wait}Content-Length: 0\r\n"));
            }
            bytes = file.bytes[..file.bytes.len().saturating_sub(faults.short_by)].to_vec();
            if let Some(last) = bytes.last_mut().filter(|_| faults.flips > 0) {
                *last ^= 1;
                faults.flips -= 1;
            }
            let size = bytes.len();
            let from = asked.from.filter(|_| !faults.ignore_range).unwrap_or(0) as usize;
            headers = format!("ETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\n", file.digest());
            if from > 0 && from >= size {
                return head(&mut stream, 416, &format!("{headers}Content-Length: 0\r\n"));
            }
            bytes.drain(..from);
            status = if from > 0 { 206 } else { 200 };
            if from > 0 {
                headers += &format!("Content-Range: bytes {from}-{}/{size}\r\n", size - 1);
            }
            if faults.surplus > 0 {
                bytes.resize(bytes.len() + faults.surplus, 0);
            } else {
                headers += &format!("Content-Length: {}\r\n", bytes.len());
            }
            cut = if asked.cdn && body { faults.cut_after.pop_front() } else { None };
        }
        head(&mut stream, status, &headers)?;
        bytes.truncate(cut.unwrap_or(usize::MAX));
        for piece in bytes.chunks(PIECE).filter(|_| body) {
            stream.write_all(piece)?;
            if self.alarmed(piece.len()) {
                // Until the client goes away.
                stream.flush()?;
                let _ = BufReader::new(&stream).lines().next();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Counts what was sent. Whether it is to stop here.
    fn alarmed(&self, sent: usize) -> bool {
        let mut faults = self.faults.lock().unwrap();
        if let Some((left, told)) = &mut faults.alarm {
            *left = left.saturating_sub(sent);
            if *left == 0 {
                let _ = told.send(());
                if !faults.stall {
                    faults.alarm = None;
                }
                return faults.stall;
            }
        }
        false
    }
}

fn head(stream: &mut TcpStream, status: u16, headers: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status} Whatever\r\n{headers}Connection: close\r\n\r\n")
}

fn decoded(target: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = target.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
