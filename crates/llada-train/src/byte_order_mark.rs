//! Byte order marks: some editors put one at the beginning of a UTF-8 text. It is no part of the text.

/// The mark in UTF-8.
pub(crate) const MARK: &[u8] = b"\xef\xbb\xbf";

/// The text in `bytes`, without the mark if there is one.
pub(crate) fn skip(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}
