//! Requests to the hub: tokens, redirects, and the distinction between temporary and permanent failures.

use std::io;
use std::time::Duration;

use anyhow::{Error, Result};
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::backoff::{self, Backoff};
use crate::messages;
use crate::request::Request;
use crate::settings::{Settings, Token};
use crate::url;

const CONNECT: Duration = Duration::from_secs(15);

/// A connection that transfers no byte for this long counts as lost.
const SILENCE: Duration = Duration::from_secs(30);

const REDIRECTS: usize = 8;

/// The largest size of the hub's answer about a model, in bytes.
const LISTING: u64 = 64 << 20;

pub(crate) type Answer = Response<Body>;

/// A request that failed.
pub(crate) enum Refusal {
    /// A temporary failure. The request may be repeated, after the server's `wish` if it states one.
    Again { why: String, wish: Option<Duration> },
    /// No server was reached.
    Unreachable { why: String },
    /// The server has another file than the hub announced. Nothing of it was received.
    Other { why: String },
    /// The received content is not what the hub announced.
    Wrong { why: String },
    /// A permanent failure.
    Final(Error),
}

impl Refusal {
    pub(crate) fn again(why: impl Into<String>) -> Self {
        Self::Again { why: why.into(), wish: None }
    }
}

pub(crate) struct Client {
    agent: Agent,
    pub(crate) endpoint: String,
    pub(crate) token: Option<Token>,
    pub(crate) request: Request,
}

impl Client {
    pub(crate) fn new(settings: Settings, request: &Request) -> Self {
        // The system's certificates include those that a company has added.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // Redirects are followed in `get`: the token must not be sent to another host, and https must not become http.
            .max_redirects(0)
            .user_agent(concat!("llada-fetch-weights/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .build()
            .new_agent();
        let Settings { endpoint, token, .. } = settings;
        Self { agent, endpoint, token, request: request.clone() }
    }

    /// Returns the answer of the hub's API at this path. Temporary failures are retried.
    pub(crate) fn ask(&self, path: &str) -> Result<String> {
        let url = format!("{}{path}", self.endpoint);
        let mut backoff = Backoff::new();
        loop {
            let (why, wish) = match self.get_text(&url) {
                Ok(text) => return Ok(text),
                Err(Refusal::Again { why, wish }) => (why, wish),
                Err(Refusal::Unreachable { why }) => return Err(messages::unreachable(self, &why)),
                Err(Refusal::Other { why } | Refusal::Wrong { why }) => return Err(Error::msg(why)),
                Err(Refusal::Final(error)) => return Err(error),
            };
            let Some(pause) = backoff.next(wish) else {
                return Err(messages::given_up(&self.request, "the list of files", &why));
            };
            backoff::wait(pause, &false.into());
        }
    }

    fn get_text(&self, url: &str) -> Result<String, Refusal> {
        let mut body = self.get(url, 0)?.into_body();
        let text = body.with_config().limit(LISTING).read_to_string();
        text.map_err(|error| Refusal::again(error.to_string()))
    }

    /// Requests the content of an address from byte `from` on. A server that does not support ranges sends all of it.
    pub(crate) fn get(&self, url: &str, from: u64) -> Result<Answer, Refusal> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let own = self.is_own(&url);
            let mut request = self.agent.get(&url).header(header::ACCEPT_ENCODING, "identity");
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            if let Some(token) = self.token.as_ref().filter(|_| own) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.value));
            }
            let answer = request.call().map_err(|error| self.failed(error))?;
            if !answer.status().is_redirection() {
                return self.judged(answer, own);
            }
            url = self.redirected(&url, answer.headers())?;
        }
        Err(Refusal::again(format!("more than {REDIRECTS} redirects")))
    }

    fn is_own(&self, url: &str) -> bool {
        match (url::origin(url), url::origin(&self.endpoint)) {
            (Some(its), Some(ours)) => its.eq_ignore_ascii_case(ours),
            _ => false,
        }
    }

    fn redirected(&self, url: &str, headers: &HeaderMap) -> Result<String, Refusal> {
        let location = text(headers, "Location").unwrap_or_default();
        match url::joined(url, location) {
            Some(next) if next.starts_with("https://") || url.starts_with("http://") => Ok(next),
            _ => Err(Refusal::Final(messages::strange_redirect(&self.request, url, location))),
        }
    }

    fn judged(&self, answer: Answer, own: bool) -> Result<Answer, Refusal> {
        let (status, headers) = (answer.status(), answer.headers());
        match status {
            // 416 means that the range starts after the end of the file. The caller handles it.
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => Ok(answer),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Err(later(status, headers))
            }
            _ if status.is_server_error() => Err(later(status, headers)),
            // Addresses of redirects expire. On the next attempt the hub returns a new one.
            _ if !own => Err(later(status, headers)),
            _ => Err(Refusal::Final(messages::refused(
                self,
                status.as_u16(),
                text(headers, "X-Error-Code"),
                text(headers, "X-Error-Message"),
            ))),
        }
    }

    fn failed(&self, error: ureq::Error) -> Refusal {
        use ureq::Timeout::{Connect, Resolve};
        let why = error.to_string();
        match error {
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Timeout(Connect | Resolve) => {
                Refusal::Unreachable { why }
            }
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => Refusal::Unreachable { why },
            // An untrusted certificate. Content that is damaged in transit is detected by its digest.
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Refusal::Final(messages::untrusted(self, &why))
            }
            ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => Refusal::again(why),
            // Errors of proxies and addresses are permanent.
            _ => Refusal::Final(messages::unreachable(self, &why)),
        }
    }
}

fn later(status: StatusCode, headers: &HeaderMap) -> Refusal {
    let seconds = text(headers, "Retry-After").and_then(|wish| wish.trim().parse().ok());
    Refusal::Again { why: format!("the server answered {status}"), wish: seconds.map(Duration::from_secs) }
}

/// Returns a header if it is present and readable.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
