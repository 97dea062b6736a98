//! `cargo xtask tidy`: checks the rules of ARCHITECTURE.md that a program can check. There is one file per rule.
//!
//! Rules over text read a [`Source`], which has the code without comments and strings, so that a forbidden word may be
//! mentioned in a comment. Rules over crates read the result of `cargo metadata`.

mod circles;
mod command_line;
mod conflicts;
mod layering;
mod length;
mod manifests;
mod module_head;
mod printing;
mod retired_names;
mod skipped_tests;
mod source;
mod torch_free;
mod unsafe_code;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use self::source::Source;
use crate::failure::Failure;
use crate::style;
use crate::workspace;

/// A violation of a rule.
#[derive(Debug, PartialEq)]
struct Violation {
    path: PathBuf,
    /// Counted from 1.
    line: usize,
    rule: &'static str,
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, message } = self;
        write!(f, "{}:{line}: {rule}: {message}", path.display())
    }
}

/// The rules over the text of one Rust file.
const TEXT_RULES: [fn(&Source) -> Vec<Violation>; 7] = [
    module_head::check,
    length::check,
    printing::check,
    skipped_tests::check,
    unsafe_code::check,
    command_line::check,
    retired_names::check,
];

pub(crate) fn run() -> Result<()> {
    let violations = violations()?;
    for violation in &violations {
        println!("{violation}");
    }
    if violations.is_empty() {
        println!("{} every rule holds", style::good("tidy:"));
        return Ok(());
    }
    Err(Failure::failed(
        format!("rules are broken in the places listed: {}", violations.len()),
        "cargo xtask tidy   (again, once they are mended)",
    )
    .into())
}

fn violations() -> Result<Vec<Violation>> {
    let root = workspace::root();
    let metadata = MetadataCommand::new().current_dir(&root).exec().context("cargo metadata failed")?;
    let mut found = layering::check(&metadata);
    found.extend(torch_free::check(&metadata));
    for manifest in source::manifests(&metadata) {
        found.extend(manifests::check(&manifest));
    }
    let files = source::rust_files(&root)?;
    for file in &files {
        found.extend(TEXT_RULES.iter().flat_map(|rule| rule(file)));
    }
    found.extend(circles::check(&files));
    found.extend(conflicts::check(&root)?);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let violations: Vec<_> = violations().unwrap().iter().map(ToString::to_string).collect();
        assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    }

    #[test]
    fn a_violation_is_shown_as_editors_expect_it() {
        let violation = Violation {
            path: "crates/llada-core/src/rng.rs".into(),
            line: 7,
            rule: "printing",
            message: "only binaries print".to_owned(),
        };
        let expected = "crates/llada-core/src/rng.rs:7: printing: only binaries print";
        assert_eq!(violation.to_string(), expected);
    }
}
