//! The digests by which the hub names content: SHA-256 for large files and git's blob hash for small ones.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// The number of bytes that are read or written at once.
pub(crate) const CHUNK: usize = 256 * 1024;

/// The expected digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Digest {
    Sha256(String),
    Git(String),
}

impl Digest {
    /// Parses lower-case hexadecimal digits. Their number determines the kind of digest.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        match name.len() {
            64 => Some(Self::Sha256(name.to_owned())),
            40 => Some(Self::Git(name.to_owned())),
            _ => None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Sha256(name) | Self::Git(name) => name,
        }
    }

    /// Creates a hasher for the content of a file of this size.
    pub(crate) fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Git(_) => Hasher::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }

    /// Returns true if the file has this size and this digest.
    pub(crate) fn fits(&self, path: &Path, size: u64) -> io::Result<bool> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() != size {
            return Ok(false);
        }
        let mut hasher = self.hasher(size);
        hasher.read(&mut file, size)?;
        Ok(hasher.finish() == self.name())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(name) => write!(f, "SHA-256 {name}"),
            Self::Git(name) => write!(f, "git blob {name}"),
        }
    }
}

/// An incremental computation of a digest.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    /// Adds the next `length` bytes of a file.
    pub(crate) fn read(&mut self, file: &mut File, length: u64) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let mut left = file.take(length);
        loop {
            match left.read(&mut chunk)? {
                0 if left.limit() == 0 => return Ok(()),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.update(&chunk[..read]),
            }
        }
    }

    pub(crate) fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Git(hasher) => hex(&hasher.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_agree_with_sha256sum_and_git_hash_object() {
        for (name, kind) in [
            ("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", "SHA-256"),
            ("ce013625030ba8dba906f756967f9e9ca394464a", "git blob"),
        ] {
            let digest = Digest::parse(name).unwrap();
            let mut hasher = digest.hasher(6);
            hasher.update(b"hel");
            hasher.update(b"lo\n");
            assert_eq!(hasher.finish(), name);
            assert_eq!(digest.to_string(), format!("{kind} {name}"));
        }
    }

    #[test]
    fn what_is_no_digest_is_no_name() {
        for name in ["", "..", "ce01", &"A".repeat(40), &"/".repeat(64), &"a".repeat(41)] {
            assert_eq!(Digest::parse(name), None, "{name}");
        }
    }
}
