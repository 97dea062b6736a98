//! Free disk space, according to `df`, which accounts for quotas and mounts.

use std::path::Path;
use std::process::Command;

use crate::process;

/// Returns the free space, in megabytes, on the disk of `path` or of its nearest existing parent.
pub fn free(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|folder| folder.exists())?;
    let table = process::answer(Command::new("df").arg("-Pk").arg(existing))?;
    let available = table.lines().nth(1)?.split_whitespace().nth(3)?;
    Some(available.parse::<u64>().ok()? * 1024 / 1_000_000)
}

/// Formats a number of bytes: `7 kB`, `540 MB`, `2.8 GB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    if bytes < 1_000_000 { format!("{} kB", bytes.div_ceil(1000)) } else { shown(bytes / 1_000_000) }
}

/// Formats a number of megabytes: `540 MB`, `2.8 GB`.
pub fn shown(megabytes: u64) -> String {
    if megabytes < 1000 { format!("{megabytes} MB") } else { format!("{:.1} GB", megabytes as f64 / 1000.0) }
}
