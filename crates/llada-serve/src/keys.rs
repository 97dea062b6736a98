//! Keys of those who may use the server.

use std::{collections::BTreeMap, fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// The digests of keys, with the names of their owners.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<[u8; 32], String>);

/// A line of a file of keys that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} is not a name and the SHA-256 of a key in hexadecimal digits")]
pub struct KeysError {
    /// The number of the line.
    pub line: usize,
}

impl Keys {
    /// Returns true if everybody may use the server.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the name of a key's owner. Only digests are compared, so the time it takes tells nothing of other keys.
    pub fn owner(&self, key: &str) -> Option<&str> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        self.0.get(&digest).map(String::as_str)
    }
}

/// Reads keys from lines of a name and a digest, as `sha256sum` writes it. Empty lines and those that start with `#` count
/// for nothing.
impl FromStr for Keys {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        let mut keys = BTreeMap::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let mut words = text.split_whitespace();
            let (Some(name), Some(hex), None) = (words.next(), words.next(), words.next()) else {
                return Err(KeysError { line });
            };
            keys.insert(digest(hex).ok_or(KeysError { line })?, name.to_owned());
        }
        Ok(Self(keys))
    }
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(digest)
}

/// The names of the owners; digests are not shown.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.values()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_digests() {
        // echo -n secret | sha256sum
        let file = "# keys\n\nada 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n";
        let keys: Keys = file.parse().unwrap();
        assert_eq!((keys.owner("secret"), keys.owner("Secret")), (Some("ada"), None));
        assert_eq!(format!("{keys:?}"), "{\"ada\"}");
        for (file, line) in [("ada", 1), ("\nada 12", 2), ("ada 1 2", 1)] {
            assert_eq!(file.parse::<Keys>().unwrap_err(), KeysError { line });
        }
        assert!(Keys::default().is_empty());
    }
}
