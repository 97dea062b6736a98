//! How threads wait: briefly, unless the user has said otherwise. The variables are those of the running program.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use crate::fixture;

/// The variables about waiting of a `llada` that was started with `set`, and the word it was started by.
fn running(set: &[(&str, &str)]) -> (Vec<String>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llada"));
    command.env_remove("OMP_WAIT_POLICY").env_remove("GOMP_SPINCOUNT").envs(set.iter().copied());
    // More lines than a pipe holds: it waits for a reader.
    command
        .args(["generate", "--watch", "--prompt-ids", "1", "--gen-length", "250", "--model"])
        .arg(fixture("tiny-llada"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("step    1"), "{line}");
    let [variables, name] =
        ["environ", "comm"].map(|file| fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    let settled =
        |variable: &&str| ["OMP_WAIT_POLICY=", "GOMP_SPINCOUNT="].iter().any(|name| variable.starts_with(name));
    (variables.split('\0').filter(settled).map(str::to_owned).collect(), name.trim().to_owned())
}

#[test]
fn threads_wait_briefly_unless_told_otherwise() {
    assert_eq!(running(&[]), (vec!["GOMP_SPINCOUNT=10000".to_owned()], "llada".to_owned()));
    for own in [("OMP_WAIT_POLICY", "active"), ("GOMP_SPINCOUNT", "7")] {
        assert_eq!(running(&[own]).0, [format!("{}={}", own.0, own.1)]);
    }
}
