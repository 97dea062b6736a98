//! As much of addresses as a download needs: whose they are, where a redirect leads, and how paths are written in them.

/// `scheme://host:port` of an address: what must be the same for the token to go along.
pub(crate) fn origin(url: &str) -> Option<&str> {
    let host = url.find("://")? + 3;
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |end| host + end);
    Some(&url[..end])
}

/// Where `location`, an answer's header, leads from `url`.
pub(crate) fn joined(url: &str, location: &str) -> Option<String> {
    if location.starts_with("http://") || location.starts_with("https://") {
        return Some(location.to_owned());
    }
    if location.starts_with("//") {
        return Some(format!("{}:{location}", url.split_once("://")?.0));
    }
    location.starts_with('/').then(|| Some(format!("{}{location}", origin(url)?)))?
}

/// A path as it is written in an address; a `/` separates only where it is kept.
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
