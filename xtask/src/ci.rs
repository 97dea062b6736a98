//! `cargo xtask ci`: the steps of the continuous integration, cheapest first. Each step is a command that can be repeated.

use std::time::Instant;

use anyhow::Result;

use crate::failure::Failure;
use crate::process;
use crate::style;
use crate::workspace;

/// A cargo command with its flags for rustdoc.
struct Step {
    cargo: &'static [&'static str],
    rustdocflags: Option<String>,
}

impl Step {
    const fn new(cargo: &'static [&'static str]) -> Self {
        Self { cargo, rustdocflags: None }
    }

    /// Returns the command that runs this step alone.
    fn typed(&self) -> String {
        let command = format!("cargo {}", self.cargo.join(" "));
        match &self.rustdocflags {
            Some(flags) => format!("RUSTDOCFLAGS=\"{flags}\" {command}"),
            None => command,
        }
    }

    fn succeeds(&self) -> Result<bool> {
        let mut command = workspace::cargo(self.cargo);
        if let Some(flags) = &self.rustdocflags {
            command.env("RUSTDOCFLAGS", flags);
        }
        process::show(&mut command)
    }
}

/// The check of packages: manifests, versions of dependencies, and files. Nothing is compiled a second time, and packages
/// that are not for users are excluded.
const PACKAGE: &[&str] = &[
    "package",
    "--workspace",
    "--exclude",
    "llada-benches",
    "--exclude",
    "xtask",
    "--exclude",
    "fetch-weights",
    "--no-verify",
    "--allow-dirty",
    "--quiet",
    "--offline",
];

/// What is off by default. Lints and documentation cover it, in the same check of its dependencies; tests are those of the
/// default build.
const OPTIONAL: &str = "llada-cli/otlp";

fn steps() -> [Step; 8] {
    // Rustdoc runs in each crate's folder, so the header that renders formulas needs an absolute path.
    let header = workspace::root().join("crates/llada-core/katex-header.html");
    let docs = Step {
        rustdocflags: Some(format!("-D warnings --html-in-header {}", header.display())),
        ..Step::new(&["doc", "--workspace", "--no-deps", "--features", OPTIONAL])
    };
    [
        Step::new(&["fmt", "--all", "--check"]),
        Step::new(&["xtask", "tidy"]),
        Step::new(&["xtask", "deploy-check", "--manifests"]),
        Step::new(&["xtask", "setup"]),
        Step::new(&["clippy", "--workspace", "--all-targets", "--features", OPTIONAL, "--", "-D", "warnings"]),
        docs,
        Step::new(PACKAGE),
        Step::new(&["xtask", "test"]),
    ]
}

pub(crate) fn run() -> Result<()> {
    let steps = steps();
    let whole = Instant::now();
    for (number, step) in (1..).zip(&steps) {
        let name = format!("[{number}/{}] {}", steps.len(), step.typed());
        println!("{}", style::strong(&name));
        let started = Instant::now();
        if !step.succeeds()? {
            return Err(Failure::failed(format!("step {number} failed"), step.typed()).into());
        }
        println!("{} in {:.1} s", style::good("ok"), started.elapsed().as_secs_f64());
    }
    println!("{} every step, in {:.1} s", style::good("ok"), whole.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_is_the_test_command_of_the_readme() {
        assert_eq!(steps().last().unwrap().typed(), "cargo xtask test");
    }
}
