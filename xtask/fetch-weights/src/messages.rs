//! Error messages, each with a command that helps.

use std::io;
use std::path::Path;

use anyhow::Error;
use xtask::failure::Failure;

use crate::client::Client;
use crate::request::Request;

/// A refusal by the hub. Its error codes distinguish the cases, except that it answers 401 to any request with a wrong token.
pub(crate) fn refused(client: &Client, status: u16, code: Option<&str>, message: Option<&str>) -> Error {
    let Client { endpoint, request, token, .. } = client;
    let (model, again) = (&request.model, request.again());
    let token = token.as_ref().map(|token| token.source.as_str());
    let failure = match (code, status, token) {
        (Some("GatedRepo"), ..) => Failure::environment(
            format!("{model} is gated: its owner lets in who asks for it, and {}", asker(token, "was not let in")),
            format!("ask at {endpoint}/{model}, then: HF_TOKEN=hf_... {again}"),
        ),
        (_, 401, Some(source)) => Failure::environment(
            format!("the hub does not know the token in {source}"),
            format!("make one at {endpoint}/settings/tokens, then: HF_TOKEN=hf_... {again}"),
        ),
        (Some("RevisionNotFound"), ..) => Failure::failed(
            format!("{model} has no revision {}", request.revision),
            format!("cargo xtask fetch-weights {model}   (those there are: {endpoint}/{model}/branches)"),
        ),
        (Some("EntryNotFound"), ..) => {
            Failure::failed(format!("the hub lists a file of {model} that it does not have"), again)
        }
        (_, 401 | 404, _) => Failure::failed(
            format!("the hub has no model {model}, or it is private, and {}", asker(token, "may not see it")),
            format!("look for its name at {endpoint}/models; if it is private: HF_TOKEN=hf_... {again}"),
        ),
        _ => Failure::environment(
            format!("the hub answers {status} for {model}: {}", message.unwrap_or("no reason given")),
            format!("look at {endpoint}/{model}, then: {again}"),
        ),
    };
    failure.into()
}

fn asker(token: Option<&str>, verdict: &str) -> String {
    match token {
        Some(source) => format!("the token in {source} {verdict}"),
        None => "no token was sent".to_owned(),
    }
}

pub(crate) fn unreachable(client: &Client, why: &str) -> Error {
    Error::msg(why.to_owned()).context(Failure::environment(
        format!("no connection to {}", client.endpoint),
        format!("HF_HUB_OFFLINE=1 {}   (uses what the cache has)", client.request.again()),
    ))
}

pub(crate) fn untrusted(client: &Client, why: &str) -> Error {
    Error::msg(why.to_owned()).context(Failure::environment(
        format!("no trusted connection to {}, or to where it leads", client.endpoint),
        format!("SSL_CERT_FILE=/the/certificates/of/your/network.pem {}", client.request.again()),
    ))
}

pub(crate) fn given_up(request: &Request, what: &str, why: &str) -> Error {
    Error::msg(why.to_owned()).context(Failure::environment(
        format!("{what} could not be downloaded, after many tries"),
        format!("{}   (what was downloaded is kept)", request.again()),
    ))
}

pub(crate) fn wrong_content(request: &Request, file: &str, why: &str) -> Error {
    Error::msg(why.to_owned()).context(Failure::failed(
        format!("{file} is not what the hub announced, twice"),
        format!("{}   (if HF_ENDPOINT is a mirror: without it)", request.again()),
    ))
}

pub(crate) fn strange_redirect(request: &Request, url: &str, location: &str) -> Error {
    Failure::failed(
        format!("{url} leads to {location:?}, which is no address to follow from there"),
        format!("{}   (if HF_ENDPOINT is a mirror: without it)", request.again()),
    )
    .into()
}

pub(crate) fn strange_listing(request: &Request, why: &str) -> Error {
    Failure::failed(
        format!("the hub's list of the files of {} is refused: {why}", request.model),
        format!("{}   (if HF_ENDPOINT is a mirror: without it)", request.again()),
    )
    .into()
}

/// A local file cannot be written, most often because the disk is full.
pub(crate) fn unwritten(request: &Request, path: &Path, error: io::Error) -> Error {
    let folder = path.parent().unwrap_or(path).display();
    let remedy = if request.dest.is_some() { "--dest /a/larger/disk" } else { "export HF_HOME=/a/larger/disk" };
    let (message, hint) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
            format!("the disk of {folder} is full; what was downloaded is kept"),
            format!("df -h {folder}   then, with more room: {}   (or {remedy})", request.again()),
        ),
        _ => (format!("cannot write {}", path.display()), format!("ls -ld {folder}   then: {}", request.again())),
    };
    Error::new(error).context(Failure::environment(message, hint))
}

pub(crate) fn absent_offline(request: &Request, cache: &Path) -> Error {
    Failure::environment(
        format!("HF_HUB_OFFLINE is set, and {} at {} is not in {}", request.model, request.revision, cache.display()),
        format!("HF_HUB_OFFLINE=0 {}", request.again()),
    )
    .into()
}

pub(crate) fn incomplete_offline(request: &Request, missing: &[String]) -> Failure {
    Failure::environment(
        format!("HF_HUB_OFFLINE is set, and the cache lacks {} of {}", missing.join(", "), request.model),
        format!("HF_HUB_OFFLINE=0 {}", request.again()),
    )
}
