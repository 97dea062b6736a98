//! `fetch-weights`, as far as xtask goes: it is parsed, and handed over to the program of that name.

use crate::sandbox::{Sandbox, outcome};

/// A cargo that says how it was called, and ends as the program would.
const CARGO: &str = "#!/bin/sh\necho \"in $PWD: $*\"\nexit 130\n";

#[test]
fn what_was_typed_and_the_exit_code_go_through() {
    let sandbox = Sandbox::new();
    sandbox.program("cargo", CARGO);
    let mut command = sandbox.xtask(&["fetch-weights", "llada-1.5", "--dest", "a b", "--only", "*.json"]);
    // Where it was typed, which --dest is relative to; not where the workspace is.
    command.env("CARGO", sandbox.path("bin/cargo")).current_dir(sandbox.path("nothing"));
    let handed = outcome(&mut command);
    assert_eq!(handed.code, Some(130), "{}", handed.stderr);
    let manifest = sandbox.path("checkout/Cargo.toml").display().to_string();
    assert!(handed.stdout.starts_with(&format!("in {}: run ", sandbox.path("nothing").display())), "{}", handed.stdout);
    assert!(
        handed.stdout.contains(&format!("--package fetch-weights --manifest-path {manifest}")),
        "{}",
        handed.stdout
    );
    assert!(handed.stdout.ends_with(" -- llada-1.5 --dest a b --only *.json\n"), "{}", handed.stdout);
    assert!(handed.stderr.contains("building the downloader"), "{}", handed.stderr);
}

#[test]
fn help_and_mistakes_build_nothing() {
    let sandbox = Sandbox::new();
    let run = |args: &[&str]| outcome(sandbox.xtask(args).env("CARGO", sandbox.path("nothing/cargo")));
    let help = run(&["fetch-weights", "--help"]);
    assert_eq!(help.code, Some(0));
    for part in ["llada-8b-base, llada-8b-instruct, llada-1.5", "--dry-run", "HF_HUB_OFFLINE=1", "Examples:"] {
        assert!(help.stdout.contains(part), "{}", help.stdout);
    }
    assert_eq!(run(&["fetch-weights"]).code, Some(2));
    assert_eq!(run(&["fetch-weights", "a/b", "--everything"]).code, Some(2));
}
