//! The page at `/`.

use llada_serve::ServeOptions;

use crate::server::Server;

#[test]
fn the_page_needs_no_key_and_has_a_strict_policy() {
    let keys = format!("ada {}\n", "0".repeat(64)).parse().unwrap();
    let server = Server::start(ServeOptions { keys, ..ServeOptions::default() });
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.css", "text/css; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
    ] {
        let response = server.get(path);
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], kind, "{path}");
        assert_eq!(response.headers()["cache-control"], "no-cache", "{path}");
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
        let etag = response.headers()["etag"].to_str().unwrap();
        assert_eq!(server.get_with(path, "if-none-match", etag).status(), 304, "{path}");
    }
    assert_eq!(server.get("/v1/models").status(), 401);
}
