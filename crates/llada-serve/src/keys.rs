//! Keys of those who may use the server.

use std::{collections::BTreeMap, fmt, num::NonZeroU32, str::FromStr, sync::Arc};

use sha2::{Digest, Sha256};

/// The digests of keys, with their owners.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<[u8; 32], KeyOwner>);

/// The owner of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyOwner {
    pub(crate) name: Arc<str>,
    /// The requests that it may send in a minute, if they are limited.
    pub(crate) requests_per_minute: Option<NonZeroU32>,
}

/// A line of a file of keys that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} is not a name, the SHA-256 of a key in hexadecimal digits, and perhaps requests_per_minute=N")]
pub struct KeysError {
    /// The number of the line.
    pub line: usize,
}

impl Keys {
    /// Returns true if everybody may use the server.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the owner of a key. Only digests are compared, so the time it takes tells nothing of other keys.
    pub(crate) fn owner(&self, key: &str) -> Option<&KeyOwner> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        self.0.get(&digest)
    }
}

/// Reads keys from lines of a name, a digest, as `sha256sum` writes it, and perhaps `requests_per_minute=60`. Empty lines and
/// those that start with `#` count for nothing.
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
            let (Some(name), Some(hex), limit, None) = (words.next(), words.next(), words.next(), words.next()) else {
                return Err(KeysError { line });
            };
            let requests_per_minute =
                limit.map(|limit| requests_per_minute(limit).ok_or(KeysError { line })).transpose()?;
            let owner = KeyOwner { name: name.into(), requests_per_minute };
            keys.insert(digest(hex).ok_or(KeysError { line })?, owner);
        }
        Ok(Self(keys))
    }
}

fn requests_per_minute(limit: &str) -> Option<NonZeroU32> {
    limit.strip_prefix("requests_per_minute=")?.parse().ok()
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
        f.debug_set().entries(self.0.values().map(|owner| &owner.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_their_digests() {
        // echo -n secret | sha256sum
        let line = "ada 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        for (limit, requests_per_minute) in [("", None), (" requests_per_minute=60", NonZeroU32::new(60))] {
            let keys: Keys = format!("# keys\n\n{line}{limit}\n").parse().unwrap();
            let ada = KeyOwner { name: "ada".into(), requests_per_minute };
            assert_eq!((keys.owner("secret"), keys.owner("Secret")), (Some(&ada), None));
            assert_eq!(format!("{keys:?}"), "{\"ada\"}");
        }
        let limits = ["requests_per_minute=0", "requests=60", "requests_per_minute=60 more"];
        let limits = limits.map(|limit| format!("{line} {limit}"));
        for (file, line) in [("ada", 1), ("\nada 12", 2), ("ada 1 2", 1)]
            .into_iter()
            .chain(limits.iter().map(|file| (file.as_str(), 1)))
        {
            assert_eq!(file.parse::<Keys>().unwrap_err(), KeysError { line });
        }
        assert!(Keys::default().is_empty());
    }
}
