//! What the hub refuses, and what is refused of the hub.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::sandbox::{Outcome, Sandbox, assert_fails, outcome};

const ARGS: [&str; 1] = ["llada-8b-instruct"];

fn refused(status: u16, code: Option<&'static str>, change: impl Fn(&mut Command)) -> Outcome {
    let sandbox = Sandbox::new();
    sandbox.hub.faults().refuse = Some((status, code));
    sandbox.hub.faults().token = Some("hf_right");
    let mut command = sandbox.fetch(&ARGS);
    change(&mut command);
    let outcome = outcome(&mut command);
    assert!(!outcome.stderr.contains("hf_right") && !outcome.stderr.contains("hf_wrong"), "{}", outcome.stderr);
    assert!(!sandbox.repository().exists());
    outcome
}

#[test]
fn each_refusal_has_its_own_words() {
    let none = |_: &mut Command| {};
    let right = |command: &mut Command| {
        command.env("HF_TOKEN", "hf_right");
    };
    let gated = refused(401, Some("GatedRepo"), none);
    assert_fails(&gated, 3, "is gated: its owner lets in who asks for it, and no token was sent", "HF_TOKEN=hf_...");
    let gated = refused(403, Some("GatedRepo"), right);
    assert_fails(&gated, 3, "the token in HF_TOKEN was not let in", "/GSAI-ML/LLaDA-8B-Instruct, then:");
    let missing = refused(401, Some("RepoNotFound"), none);
    assert_fails(&missing, 1, "has no model GSAI-ML/LLaDA-8B-Instruct, or it is private, and no token", "/models");
    let missing = refused(404, Some("RepoNotFound"), right);
    assert_fails(&missing, 1, "or it is private, and the token in HF_TOKEN may not see it", "/models");
    let revision = refused(404, Some("RevisionNotFound"), none);
    assert_fails(&revision, 1, "GSAI-ML/LLaDA-8B-Instruct has no revision main", "/branches");
    let other = refused(403, None, none);
    assert_fails(&other, 3, "the hub answers 403", "cargo xtask fetch-weights");
}

#[test]
fn a_wrong_token_is_named_by_its_source_and_never_shown() {
    let wrong = refused(404, None, |command| {
        command.env("HF_TOKEN", "hf_wrong");
    });
    assert_fails(&wrong, 3, "the hub does not know the token in HF_TOKEN", "/settings/tokens");

    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("hf")).unwrap();
    fs::write(sandbox.path("hf/token"), "hf_wrong\n").unwrap();
    let file = sandbox.path("hf/token").display().to_string();
    assert_fails(&outcome(&mut sandbox.fetch(&ARGS)), 3, &format!("does not know the token in {file}"), "HF_TOKEN");
    let torn = outcome(sandbox.fetch(&ARGS).env("HF_TOKEN", "hf_\nX: y"));
    assert_fails(&torn, 3, "the token in HF_TOKEN has blanks", "HF_TOKEN");
    assert!(!torn.stderr.contains("X: y"));

    fs::create_dir_all(sandbox.path("home")).unwrap();
    fs::write(sandbox.path("home/mine"), "hf_wrong").unwrap();
    let elsewhere = outcome(sandbox.fetch(&ARGS).env("HF_TOKEN_PATH", "$HOME/mine"));
    let file = sandbox.path("home/mine").display().to_string();
    assert_fails(&elsewhere, 3, &format!("does not know the token in {file}"), "HF_TOKEN");
    let folder = outcome(sandbox.fetch(&ARGS).env("HF_TOKEN_PATH", "~"));
    assert_fails(&folder, 3, "cannot read the token in", "export HF_TOKEN=hf_");
    let anonymous = outcome(sandbox.fetch(&ARGS).env("HF_TOKEN", "hf_wrong").env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"));
    assert_eq!(anonymous.code, Some(0), "{}", anonymous.stderr);
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    for variable in [true, false] {
        let sandbox = Sandbox::new();
        sandbox.hub.faults().token = Some("hf_right");
        fs::create_dir_all(sandbox.path("hf")).unwrap();
        fs::write(sandbox.path("hf/token"), if variable { "hf_wrong" } else { "hf_right\n" }).unwrap();
        let mut command = sandbox.fetch(&ARGS);
        if variable {
            command.env("HF_TOKEN", "hf_right");
        }
        assert_eq!(outcome(&mut command).code, Some(0));
        for asked in sandbox.hub.asked() {
            let expected = (!asked.cdn).then_some("hf_right");
            assert_eq!(asked.token.as_deref(), expected, "{asked:?}");
        }
    }
}

type Change = fn(Value) -> Value;

fn listing(change: Change) -> (Sandbox, Outcome) {
    let sandbox = Sandbox::new();
    sandbox.hub.faults().listing = Some(change);
    let outcome = outcome(&mut sandbox.fetch(&ARGS));
    (sandbox, outcome)
}

#[test]
fn a_hostile_list_of_files_is_refused_as_a_whole() {
    fn with_path(mut said: Value, path: &str) -> Value {
        said["siblings"][1]["rfilename"] = json!(path);
        said
    }
    let changes: [(Change, &str); 7] = [
        (|said| with_path(said, "../../../../escaped"), "\"../../../../escaped\" would lie outside"),
        (|said| with_path(said, "/escaped"), "\"/escaped\" would lie outside"),
        (|said| with_path(said, "docs/../../escaped"), "would lie outside"),
        (|said| with_path(said, "tokenizer.json"), "\"tokenizer.json\" is in it twice"),
        (
            |mut said| {
                said["siblings"][1]["blobId"] = json!("../../escaped");
                said
            },
            "no digest",
        ),
        (
            |mut said| {
                said["sha"] = json!("../../escaped");
                said
            },
            "is no commit",
        ),
        (|_| json!("nonsense"), "invalid type"),
    ];
    for (change, message) in changes {
        let (sandbox, outcome) = listing(change);
        assert_fails(&outcome, 1, message, "HF_ENDPOINT");
        assert!(!sandbox.path("hf").exists() && !Path::new("/escaped").exists());
    }
}

#[test]
fn a_list_that_lies_about_sizes_gets_nothing_kept() {
    let (sandbox, outcome) = listing(|mut said| {
        said["siblings"][5]["lfs"]["size"] = json!(300_000);
        said
    });
    assert_fails(&outcome, 1, "model-1.safetensors is not what the hub announced", "HF_ENDPOINT");
    assert!(!sandbox.snapshot().exists());
}

#[test]
fn redirects_lead_to_servers_only() {
    let sandbox = Sandbox::new();
    sandbox.hub.faults().location = Some("file:///etc/passwd");
    assert_fails(&outcome(&mut sandbox.fetch(&ARGS)), 1, "leads to \"file:///etc/passwd\"", "HF_ENDPOINT");
}

#[test]
fn what_was_typed_is_checked_before_anybody_is_asked() {
    let sandbox = Sandbox::new();
    for (args, message, hint) in [
        (&["llada"][..], "\"llada\" is not the name of a model", "one of llada-8b-base, llada-8b-instruct, llada-1.5"),
        (&["../../etc"], "is not the name of a model", "OWNER/NAME"),
        (&["a/b", "--revision", "../x"], "\"../x\" is not the name of a branch", "--revision main"),
        (&["a/b", "--only", "[a"], "--only [a: ", "--only '*.safetensors'"),
    ] {
        assert_fails(&outcome(&mut sandbox.fetch(args)), 1, message, hint);
    }
    assert_eq!(outcome(&mut sandbox.fetch(&["a/b", "--verify", "--dry-run"])).code, Some(2));
    assert!(sandbox.hub.asked().is_empty());
}
