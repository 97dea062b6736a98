//! Runs pip as a downloader, shows its progress, and explains its failures.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::wheel;
use crate::failure::Failure;

/// Runs `pip <verb> <flags> <dest> <requirements>`, with its temporary files in `scratch`.
pub(super) fn run(verb: &str, flags: &[&str], dest: &Path, cuda: bool, scratch: &Path) -> Result<()> {
    let temporary = scratch.join("tmp");
    fs::create_dir(&temporary)?;
    let mut child = Command::new("python3")
        // The cache is off, because half a gigabyte of wheels is of no use once it is unpacked.
        .args(["-m", "pip", verb, "--no-cache-dir", "--only-binary=:all:"])
        .args(flags)
        .arg(dest)
        .args(wheel::requirements(cuda))
        // The system's temporary folder may be small or in memory. Only the disk of the cache was checked for space.
        .env("TMPDIR", &temporary)
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .stderr(Stdio::piped())
        .spawn()
        .context("pip could not be started")?;
    let mut messages = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line.context("pip's messages could not be read")?;
            eprintln!("{line}");
            messages.push_str(&line);
            messages.push('\n');
        }
    }
    let succeeded = child.wait().context("pip was lost")?.success();
    // Files that pip leaves there would take disk space from the next steps.
    fs::remove_dir_all(&temporary)?;
    if succeeded { Ok(()) } else { Err(explain(&messages).into()) }
}

/// Explains a failure of pip by its messages, because it has a single exit code for all failures.
fn explain(messages: &str) -> Failure {
    let any = |signs: &[&str]| signs.iter().any(|sign| messages.contains(sign));
    let (message, hint) = if any(&["No space left on device", "Errno 28"]) {
        (
            "pip ran out of disk space, and what it had downloaded is removed again",
            "export XDG_CACHE_HOME=/a/larger/disk && cargo xtask setup",
        )
    } else if any(&["Permission denied", "Errno 13"]) {
        ("pip was not permitted to write", "export XDG_CACHE_HOME=/a/writable/folder && cargo xtask setup")
    } else if any(&["NewConnectionError", "NameResolutionError", "ProxyError", "Timeout", "from versions: none"]) {
        (
            "pip could not reach its package index, or found no torch there",
            "cargo xtask setup   (once the network is there; without one: cargo xtask setup --from FOLDER)",
        )
    } else if any(&["No matching distribution"]) {
        (
            "pip's package index has no such wheel for this Python on this machine",
            "unpack libtorch 2.13.0 yourself, then: cargo xtask setup --from FOLDER",
        )
    } else {
        ("pip failed, for the reason it gives above", "cargo xtask setup   (once that is mended)")
    };
    Failure::environment(message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_ways_of_failing_apart() {
        let cases = [
            ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk space"),
            ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'", "permitted"),
            ("WARNING: Retrying after 'NewConnectionError(...)'\nERROR: No matching distribution found", "reach"),
            ("ERROR: Could not find a version that satisfies torch==2.13.0 (from versions: none)", "reach"),
            ("ERROR: No matching distribution found for torch==2.13.0", "no such wheel"),
            ("Segmentation fault", "reason it gives"),
        ];
        for (messages, expected) in cases {
            let message = explain(messages).to_string();
            assert!(message.contains(expected), "{messages}: {message}");
        }
    }
}
