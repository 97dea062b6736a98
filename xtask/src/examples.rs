//! Runs each example of the libraries once. The tests only compile them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use cargo_metadata::{Artifact, Message, TargetKind};

use crate::failure::Failure;
use crate::process;
use crate::style;
use crate::workspace;

/// The examples that need arguments, which are only compiled.
const WITH_ARGUMENTS: [&str; 1] = ["step_speed"];

pub(crate) fn run() -> Result<()> {
    // The tests, and the examples with them, were built with the same command, so nothing is built again. `cargo build
    // --examples` would select other features of dependencies. The messages name the programs.
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

/// Runs the artifact if it is an example. Returns true if it is one.
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
    let complaint = String::from_utf8_lossy(&output.stderr);
    let message = format!("the example {name} of {package} failed: {}", complaint.trim());
    Err(Failure::failed(message, format!("cargo run -p {package} --example {name}")).into())
}
