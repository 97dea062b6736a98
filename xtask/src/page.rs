//! The unit tests of the server's page, which `node --test` runs where Node is installed.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::failure::Failure;
use crate::process;
use crate::style;
use crate::workspace;

pub(crate) fn run() -> Result<()> {
    if process::answer(Command::new("node").arg("--version")).is_none() {
        println!("{} the tests of the page: `node` is not on PATH", style::doubtful("skipped"));
        return Ok(());
    }
    // Releases of Node read the name of a folder differently, so files are named.
    let mut files = Vec::new();
    for entry in fs::read_dir(workspace::root().join("crates/llada-serve/page/tests"))? {
        files.push(entry?.path());
    }
    files.retain(|file| file.to_string_lossy().ends_with(".test.js"));
    files.sort();
    if process::show(Command::new("node").args(["--test", "--test-reporter=dot"]).args(&files))? {
        println!("{} the tests of the page", style::good("ran"));
        return Ok(());
    }
    let again = "node --test crates/llada-serve/page/tests/*.test.js";
    Err(Failure::failed("a test of the page failed, as shown above", again).into())
}
