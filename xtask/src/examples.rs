//! The libraries' examples, each run once: that it compiles does not tell that it works.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use cargo_metadata::{Artifact, Message, TargetKind};

use crate::failure::Failure;
use crate::process;
use crate::style;
use crate::workspace;

/// Those that do nothing without arguments: they are only compiled.
const WITH_ARGUMENTS: [&str; 1] = ["step_speed"];

pub(crate) fn run() -> Result<()> {
    // The tests were built by this very command, and the examples with them: nothing is left to be built, as it would be
    // for `cargo build --examples`, which selects other dependencies. The messages tell where the programs are.
    let build = ["test", "--workspace", "--no-run", "--quiet", "--message-format", "json-render-diagnostics"];
    let output = process::capture(workspace::cargo(&build).stderr(Stdio::inherit()))?;
    if !output.status.success() {
        return Err(Failure::failed("an example does not compile", "cargo test --workspace --no-run").into());
    }
    let mut count = 0;
    for message in Message::parse_stream(output.stdout.as_slice()) {
        if let Message::CompilerArtifact(artifact) = message.context("what cargo says cannot be read")? {
            count += usize::from(runs(&artifact)?);
        }
    }
    println!("{} {count} examples", style::good("ran"));
    Ok(())
}

/// Runs what is an example; whether it is one.
fn runs(artifact: &Artifact) -> Result<bool> {
    let name = artifact.target.name.as_str();
    let example = artifact.executable.as_ref().filter(|_| artifact.target.is_kind(TargetKind::Example));
    let Some(program) = example.filter(|_| !WITH_ARGUMENTS.contains(&name)) else {
        return Ok(false);
    };
    let output = process::capture(Command::new(program).current_dir(workspace::root()))?;
    if output.status.success() {
        return Ok(true);
    }
    let package = artifact.manifest_path.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr);
    let message = format!("the example {name} of {package} failed: {}", said.trim());
    Err(Failure::failed(message, format!("cargo run -p {package} --example {name}")).into())
}
