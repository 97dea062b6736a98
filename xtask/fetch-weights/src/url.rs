//! The functions on URLs that a download needs: origins, redirects, and percent-encoding.

/// Returns the origin of an address, `scheme://host:port`. The token is sent only to the hub's own origin.
pub(crate) fn origin(url: &str) -> Option<&str> {
    let host = url.find("://")? + 3;
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |end| host + end);
    Some(&url[..end])
}

/// Resolves `location`, the header of a redirect, relative to `url`.
pub(crate) fn joined(url: &str, location: &str) -> Option<String> {
    if location.starts_with("http://") || location.starts_with("https://") {
        return Some(location.to_owned());
    }
    if location.starts_with("//") {
        return Some(format!("{}:{location}", url.split_once("://")?.0));
    }
    location.starts_with('/').then(|| Some(format!("{}{location}", origin(url)?)))?
}

/// Percent-encodes a path, except for the characters in `keep`.
pub(crate) fn encoded(path: &str, keep: &str) -> String {
    let mut written = String::new();
    for byte in path.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || keep.contains(c) {
            written.push(c);
        } else {
            written += &format!("%{byte:02X}");
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_all_before_the_path() {
        for (url, expected) in [
            ("https://hub.co/a/b", Some("https://hub.co")),
            ("http://hub.co:80?x=/", Some("http://hub.co:80")),
            ("https://hub.co@evil.example/a", Some("https://hub.co@evil.example")),
            ("https://hub.co.evil.example/", Some("https://hub.co.evil.example")),
            ("hub.co", None),
        ] {
            assert_eq!(origin(url), expected);
        }
    }

    #[test]
    fn redirects_lead_on() {
        for (location, expected) in [
            ("https://cdn.co/x", Some("https://cdn.co/x")),
            ("//cdn.co/x", Some("https://cdn.co/x")),
            ("/api/x?y", Some("https://hub.co/api/x?y")),
            ("x", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(joined("https://hub.co/a/b", location).as_deref(), expected);
        }
    }

    #[test]
    fn paths_are_written_without_what_has_a_meaning() {
        assert_eq!(encoded("a b/ü?#%.json", "/"), "a%20b/%C3%BC%3F%23%25.json");
        assert_eq!(encoded("refs/pr/1", ""), "refs%2Fpr%2F1");
    }
}
