//! The page at `/`: a chat with the canvas beside it. Its files are part of the program.

use std::future::ready;

use axum::{
    Router,
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

use crate::service::Shared;

/// What the page may load: its own files, and pictures within them.
const POLICY: &str =
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A file of the page.
#[derive(Debug, Clone, Copy)]
struct File {
    path: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(File { path: concat!("/", $name), text: include_str!(concat!("../../page/", $name)) }),*]
    };
}

const FILES: [File; 27] = files![
    "index.html",
    "docs.html",
    "favicon.svg",
    "app.css",
    "panels.css",
    "stage.css",
    "api.js",
    "app.js",
    "canvas.js",
    "chat.js",
    "decide.js",
    "docs.css",
    "docs.js",
    "dom.js",
    "export.js",
    "marks.js",
    "numbers.js",
    "replay.js",
    "run.js",
    "sampling.js",
    "score.js",
    "stage.js",
    "stream.js",
    "strip.js",
    "structured.js",
    "template.js",
    "theme.js",
];

impl File {
    /// The path that it is served at.
    fn path(self) -> &'static str {
        match self.path {
            "/index.html" => "/",
            "/docs.html" => "/docs",
            path => path,
        }
    }

    fn content_type(self) -> &'static str {
        match self.path.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            _ => "image/svg+xml",
        }
    }

    /// The name of this version of the file.
    fn etag(self) -> String {
        let digest = Sha256::digest(self.text);
        let digits: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{digits}\"")
    }

    /// Returns the file, or that the browser has it already.
    fn respond(self, etag: &str, request: &HeaderMap) -> Response {
        let headers: [(HeaderName, &str); 6] = [
            (CONTENT_TYPE, self.content_type()),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-cache"),
            (ETAG, etag),
        ];
        let known = request.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or_default();
        // A proxy that compresses a file marks its name as weak.
        if known.split(',').any(|known| known.trim().trim_start_matches("W/") == etag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.text).into_response()
    }
}

/// Returns the routes of the page.
pub(super) fn routes() -> Router<Shared> {
    let mut router = Router::new();
    for file in FILES {
        let etag = file.etag();
        router = router.route(file.path(), get(move |headers: HeaderMap| ready(file.respond(&etag, &headers))));
    }
    router
}

/// Returns true if a path is that of a file of the page, which needs no key.
pub(super) fn has(path: &str) -> bool {
    FILES.iter().any(|file| file.path() == path)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// Returns what stands between `start` and the next quotation mark, wherever `start` occurs.
    fn quoted<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
        text.split(start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !["package.json", "tests"].contains(&name.as_str()) {
                names.insert(format!("/{name}"));
            }
        }
        let served: BTreeSet<String> = FILES.iter().map(|file| file.path.to_owned()).collect();
        assert_eq!(served, names);
    }

    #[test]
    fn what_a_file_refers_to_is_served() {
        let mut count = 0;
        for file in FILES {
            let mut names = quoted(file.text, "from \"./");
            names.extend(quoted(file.text, "src=\""));
            names.extend(quoted(file.text, "<link rel=\"stylesheet\" href=\""));
            for name in names {
                assert!(has(&format!("/{name}")), "{} refers to {name}", file.path);
                count += 1;
            }
        }
        assert!(count > 30, "only {count} references were found");
    }

    #[test]
    fn the_page_has_no_inline_scripts_and_styles() {
        for file in FILES.iter().filter(|file| file.path.ends_with(".html")) {
            for forbidden in ["<style", "style=", "<script>", " onclick", "javascript:", "http://", "https://"] {
                assert!(!file.text.contains(forbidden), "{} has {forbidden}", file.path);
            }
        }
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let file = FILES[0];
        let etag = file.etag();
        let respond = |known: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, known.parse().unwrap())]);
            file.respond(&etag, &headers)
        };
        let fresh = respond("\"other\"");
        assert_eq!(fresh.status(), StatusCode::OK);
        assert_eq!(fresh.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(fresh.headers()[CONTENT_SECURITY_POLICY], POLICY);
        assert_eq!(fresh.headers()[ETAG], etag.as_str());
        for known in [etag.clone(), format!("\"other\", W/{etag}")] {
            assert_eq!(respond(&known).status(), StatusCode::NOT_MODIFIED);
        }
    }

    #[test]
    fn the_page_is_at_the_root() {
        assert!(has("/") && has("/docs") && has("/app.js") && !has("/index.html") && !has("/v1/models"));
    }
}
