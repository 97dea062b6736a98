//! SHA-256 as the hexadecimal text that checksum tools print.

use sha2::{Digest, Sha256};

/// The digest of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
