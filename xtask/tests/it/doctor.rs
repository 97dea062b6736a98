//! `doctor`: one verdict a check, a hint for each that is not well, and an exit code for scripts.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox, outcome};

/// A machine with every tool that a build needs.
fn equipped() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.program("rustc", "#!/bin/sh\necho 'rustc 1.99.0 (abc 2030-01-01)'\n");
    sandbox.program("c++", "#!/bin/sh\necho 'c++ 12.2.0'\n");
    sandbox.program("git", "#!/bin/sh\necho 'git version 2.47.3'\n");
    sandbox.program("nvidia-smi", "#!/bin/sh\nexit 9\n");
    sandbox
}

fn check(outcome: &Outcome, name: &str) -> Value {
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap().clone()
}

#[test]
fn a_machine_that_has_everything_is_ready() {
    let sandbox = equipped();
    sandbox.libtorch("checkout/.libtorch", "2.13.0+cpu");
    let report = sandbox.run(&["doctor", "--json"]);
    assert_eq!(report.code, Some(0), "{}", report.stderr);
    assert!(report.stdout.contains("\"ready\": true"));
    for name in ["rust", "c++", "python", "git", "libtorch", "cuda", "cpu", "memory", "disk"] {
        assert_ne!(check(&report, name)["status"], "fail", "{name}");
    }
    assert_eq!(check(&report, "cuda")["found"], "none, CPU only");
}

#[test]
fn each_missing_requirement_fails_with_a_hint() {
    let sandbox = equipped();
    sandbox.program("rustc", "#!/bin/sh\necho 'rustc 1.70.0'\n");
    sandbox.program("c++", "#!/bin/sh\n[ \"$1\" = --version ] && echo 'c++ 4.8' || exit 1\n");
    let report = sandbox.run(&["doctor", "--json"]);
    assert_eq!(report.code, Some(3));
    for name in ["rust", "c++", "libtorch"] {
        let check = check(&report, name);
        assert_eq!(check["status"], "fail", "{check}");
        assert!(check["hint"].is_string(), "{check}");
    }
    assert!(report.stderr.contains("not ready: rust, c++, libtorch"), "{}", report.stderr);
}

#[test]
fn python_is_needed_only_while_libtorch_is_missing() {
    for (libtorch, status) in [(true, "warn"), (false, "fail")] {
        let sandbox = equipped();
        if libtorch {
            sandbox.libtorch("checkout/.libtorch", "2.13.0+cpu");
        }
        sandbox.program("python3", "#!/bin/sh\nexit 127\n");
        assert_eq!(check(&sandbox.run(&["doctor", "--json"]), "python")["status"], status);
    }
}

#[test]
fn the_table_shows_a_hint_below_its_check() {
    let sandbox = equipped();
    let table = outcome(sandbox.xtask(&["doctor"]).env("LIBTORCH", sandbox.libtorch("old", "2.5.1")));
    let mut lines = table.stdout.lines().skip_while(|line| !line.starts_with("libtorch"));
    let (check, hint) = (lines.next().unwrap(), lines.next().unwrap());
    assert!(check.contains("fail") && check.contains("holds libtorch 2.5.1"), "{check}");
    assert_eq!(hint.trim(), "hint: unset LIBTORCH && cargo xtask setup");
    assert!(!table.stdout.contains('\u{1b}'), "colour codes outside a terminal");
}

#[test]
fn a_gpu_without_a_cuda_build_is_pointed_out() {
    let sandbox = equipped();
    sandbox.libtorch("checkout/.libtorch", "2.13.0+cpu");
    sandbox.program("nvidia-smi", "#!/bin/sh\necho '595.10, NVIDIA H100 80GB HBM3, 81559 MiB'\n");
    let report = sandbox.run(&["doctor", "--json"]);
    assert_eq!(report.code, Some(0));
    assert_eq!(check(&report, "cuda")["hint"], "cargo xtask setup --cuda");
}

/// `setup --cuda` was done: what is missing is the driver, or a device, and each is told.
#[test]
fn a_cuda_build_without_a_gpu_is_told_what_is_missing() {
    for (script, missing) in [
        ("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n", "no driver"),
        ("#!/bin/sh\necho 'No devices were found'\nexit 6\n", "a driver without devices"),
    ] {
        let sandbox = equipped();
        let libtorch = sandbox.libtorch("checkout/.libtorch", "2.13.0+cu130");
        fs::write(libtorch.join("lib/libtorch_cuda.so"), "not really").unwrap();
        sandbox.program("nvidia-smi", script);
        let report = sandbox.run(&["doctor", "--json"]);
        assert_eq!(report.code, Some(0), "{}", report.stderr);
        let check = check(&report, "cuda");
        assert_eq!(check["status"], "warn", "{check}");
        assert!(check["found"].as_str().unwrap().starts_with(missing), "{check}");
        assert_ne!(check["hint"], "cargo xtask setup --cuda");
    }
}
