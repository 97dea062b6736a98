//! Byte order marks, which some editors put at the beginning of a text, and which are no part of it.

/// The bytes after the mark, if there is one.
pub(crate) fn skip(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}
