//! The cache is shared with Python: each reads what the other has written.
//!
//! Where `python3` has no `huggingface_hub`, no other client is there to compare with, and the layout is tested by
//! `cache` alone. `python3 -m venv v && v/bin/pip install huggingface_hub`, and `v/bin` first on PATH, brings it.

use std::process::Command;

use crate::hub::{COMMIT, MODEL};
use crate::sandbox::{Sandbox, outcome};

/// Python with the hub's own client, in the environment of the sandbox.
fn python(sandbox: &Sandbox, script: &str) -> Option<Command> {
    let has_client = Command::new("python3").args(["-c", "import huggingface_hub"]).output().ok()?.status.success();
    let mut command = Command::new("python3");
    command.args(["-c", script]).env("HF_HOME", sandbox.path("hf")).env("HF_ENDPOINT", &sandbox.hub.url);
    for variable in ["HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE"] {
        command.env_remove(variable);
    }
    command.env("HF_HUB_DISABLE_XET", "1").env("HF_HUB_DISABLE_TELEMETRY", "1").env("NO_PROXY", "127.0.0.1");
    has_client.then_some(command)
}

fn snapshot() -> String {
    format!("import huggingface_hub as h; print(h.snapshot_download('{MODEL}'), end='')")
}

#[test]
fn python_reads_what_was_fetched() {
    let sandbox = Sandbox::new();
    let Some(mut online) = python(&sandbox, &snapshot()) else { return };
    sandbox.fetched(&[]);
    sandbox.hub.asked();
    let read = outcome(&mut online);
    assert_eq!(read.stdout, sandbox.snapshot().display().to_string(), "{}", read.stderr);
    assert!(!sandbox.hub.asked().iter().any(|asked| asked.cdn), "nothing is downloaded again");
    let mut offline = python(&sandbox, &snapshot()).unwrap();
    let read = outcome(offline.env("HF_HUB_OFFLINE", "1"));
    assert_eq!(read.stdout, sandbox.snapshot().display().to_string(), "{}", read.stderr);
    sandbox.assert_whole(&sandbox.snapshot());
    let scan = "import huggingface_hub as h; i = h.scan_cache_dir(); \
                print(len(i.warnings), [(r.repo_id, [(v.commit_hash, sorted(v.refs)) for v in r.revisions]) for r in i.repos])";
    let scanned = outcome(&mut python(&sandbox, scan).unwrap());
    assert_eq!(scanned.stdout.trim(), format!("0 [('{MODEL}', [('{COMMIT}', ['main'])])]"), "{}", scanned.stderr);
}

#[test]
fn what_python_has_fetched_is_found() {
    let sandbox = Sandbox::new();
    let Some(mut fetch) = python(&sandbox, &snapshot()) else { return };
    let fetched = outcome(&mut fetch);
    assert_eq!(fetched.code, Some(0), "{}", fetched.stderr);
    sandbox.hub.asked();
    assert!(sandbox.fetched(&[]).stdout.contains("download  nothing"));
    assert_eq!(sandbox.hub.asked().len(), 1, "the list of files alone");
    sandbox.fetched(&["--verify"]);
    let offline = outcome(sandbox.fetch(&["llada-8b-instruct", "--verify"]).env("HF_HUB_OFFLINE", "1"));
    assert_eq!(offline.code, Some(0), "{}", offline.stderr);
    sandbox.assert_cached();
}
