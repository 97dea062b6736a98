//! Where files go, what is found there, and what is said about it.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::hub::COMMIT;
use crate::sandbox::{Sandbox, assert_fails, names, outcome};

#[test]
fn a_model_arrives_once() {
    let sandbox = Sandbox::new();
    let first = sandbox.fetched(&[]);
    sandbox.assert_cached();
    assert!(first.stdout.contains("files     9, 601 kB"), "{}", first.stdout);
    assert!(first.stdout.contains("download  601 kB") && first.stdout.contains(" free\n"), "{}", first.stdout);
    assert!(first.stdout.contains(&sandbox.snapshot().display().to_string()), "{}", first.stdout);
    assert!(first.stdout.ends_with("llada -- inspect GSAI-ML/LLaDA-8B-Instruct\n"), "{}", first.stdout);
    assert!(!first.stdout.contains('\u{1b}') && first.stderr.is_empty(), "{:?}", first.stderr);

    sandbox.hub.asked();
    let second = sandbox.fetched(&[]);
    for line in ["9 of them there already\n", "\n  download  nothing\n"] {
        assert!(second.stdout.contains(line), "{}", second.stdout);
    }
    assert_eq!(sandbox.hub.asked().len(), 1, "the list of files alone");
    sandbox.assert_cached();
}

#[test]
fn a_dry_run_says_all_and_changes_nothing() {
    let sandbox = Sandbox::new();
    for args in [&["--dry-run"][..], &["--dry-run", "--dest", "weights"]] {
        let dry = sandbox.fetched(args);
        assert!(
            dry.stdout.contains("download  601 kB") && dry.stdout.contains("nothing was changed"),
            "{}",
            dry.stdout
        );
    }
    assert!(names(&sandbox.path("")).is_empty());
}

#[test]
fn parameters_and_memory_are_told_before_a_download() {
    let sandbox = Sandbox::new();
    let counted = sandbox.fetched(&["--dry-run"]).stdout;
    for line in ["model     8.0 billion parameters\n", "f32   32.1 GB", "bf16  16.0 GB", "int8  about 8.0 GB"] {
        assert!(counted.contains(line), "{counted}");
    }
    sandbox.hub.faults().listing = Some(|mut said| {
        said["safetensors"] = Value::Null;
        said
    });
    let estimated = sandbox.fetched(&["--dry-run"]).stdout;
    assert!(estimated.contains("model     about 1 million parameters\n"), "{estimated}");
    assert!(estimated.contains("bf16  about 500 kB"), "{estimated}");
    let texts = sandbox.fetched(&["--dry-run", "--only", "*.txt"]).stdout;
    assert!(!texts.contains("memory"), "{texts}");
}

#[test]
fn only_what_matches_is_fetched() {
    let sandbox = Sandbox::new();
    sandbox.fetched(&["--only", "*.txt"]);
    assert_eq!(names(&sandbox.snapshot()), ["docs/more/again.txt", "docs/more/with blank & \u{fc}.txt"]);
    let none = outcome(&mut sandbox.fetch(&["llada-8b-instruct", "--only", "*.bin"]));
    assert_fails(&none, 1, "--only *.bin matches none of its 9 files", "fetch-weights");
    sandbox.fetched(&[]);
    sandbox.assert_cached();
}

#[test]
fn a_folder_gets_plain_files() {
    let sandbox = Sandbox::new();
    sandbox.fetched(&["--dest", "a/weights"]);
    let folder = sandbox.path("a/weights");
    sandbox.assert_whole(&folder);
    assert!(!folder.join("config.json").is_symlink() && !sandbox.path("hf").exists());
    // What is in the way is looked at, not trusted: the same size, other content.
    fs::write(folder.join("config.json"), "{\"d_model\": 5}\n").unwrap();
    assert!(sandbox.fetched(&["--dest", "a/weights"]).stdout.contains("8 of them there already"));
    sandbox.assert_whole(&folder);
}

#[test]
fn a_commit_needs_no_reference() {
    let sandbox = Sandbox::new();
    sandbox.fetched(&["--revision", COMMIT]);
    sandbox.assert_whole(&sandbox.snapshot());
    assert!(!sandbox.repository().join("refs").exists());
    sandbox.fetched(&["--revision", "refs/pr/1"]);
    assert_eq!(fs::read_to_string(sandbox.repository().join("refs/refs/pr/1")).unwrap(), COMMIT);
    assert!(sandbox.hub.asked().iter().any(|asked| asked.path.contains("/revision/refs/pr/1")));
}

#[test]
fn verification_reads_everything_again() {
    let sandbox = Sandbox::new();
    for dest in [&[][..], &["--dest", "weights"]] {
        sandbox.fetched(dest);
        let verify = [dest, &["--verify"]].concat();
        assert!(sandbox.fetched(&verify).stdout.contains("9 files in"));
        let folder = if dest.is_empty() { sandbox.snapshot() } else { sandbox.path("weights") };
        let damaged = fs::canonicalize(folder.join("model-2.safetensors")).unwrap();
        let mut bytes = fs::read(&damaged).unwrap();
        bytes[100_000] ^= 1;
        fs::write(&damaged, bytes).unwrap();
        fs::remove_file(folder.join("config.json")).unwrap();
        let args = [&["llada-8b-instruct"], verify.as_slice()].concat();
        let found = outcome(&mut sandbox.fetch(&args));
        assert_fails(&found, 1, "damaged: 1, missing: 1", &format!("rm '{}' &&", damaged.display()));
        assert!(found.stdout.contains("damaged model-2.safetensors\n"), "{}", found.stdout);
        assert!(found.stdout.contains("missing config.json\n"), "{}", found.stdout);
        fs::remove_file(damaged).unwrap();
        sandbox.fetched(dest);
        sandbox.assert_whole(&folder);
    }
}

#[test]
fn offline_the_cache_is_all_there_is() {
    let sandbox = Sandbox::new();
    let offline = |args: &[&str]| {
        let args = [&["llada-8b-instruct"], args].concat();
        outcome(sandbox.fetch(&args).env("HF_HUB_OFFLINE", "1").env("HF_ENDPOINT", "http://127.0.0.1:1"))
    };
    assert_fails(&offline(&[]), 3, "is not in", "HF_HUB_OFFLINE=0 cargo xtask fetch-weights");
    sandbox.fetched(&[]);
    for args in [&[][..], &["--verify"], &["--only", "*.json", "--verify"]] {
        let found = offline(args);
        assert_eq!(found.code, Some(0), "{}", found.stderr);
        assert!(found.stdout.contains(&sandbox.snapshot().display().to_string()));
    }
    assert_fails(&offline(&["--dest", "weights"]), 3, "is not in", "--dest");
    fs::remove_file(sandbox.blob(sandbox.file("model-1.safetensors"))).unwrap();
    assert_fails(&offline(&[]), 3, "the cache lacks model-1.safetensors", "HF_HUB_OFFLINE=0");
    assert_fails(&offline(&["--verify"]), 1, "damaged: 0, missing: 1", "fetch-weights");
}

#[test]
fn what_another_program_has_begun_is_used() {
    let sandbox = Sandbox::new();
    let (whole, part) = (sandbox.file("model-1.safetensors"), sandbox.file("model-2.safetensors"));
    fs::create_dir_all(sandbox.repository().join("blobs")).unwrap();
    fs::write(sandbox.blob(whole), &whole.bytes).unwrap();
    fs::write(sandbox.blob(part).with_extension("incomplete"), &part.bytes[..150_000]).unwrap();
    assert!(sandbox.fetched(&[]).stdout.contains("download  151 kB"));
    sandbox.assert_cached();
    let asked = sandbox.hub.asked();
    assert!(!asked.iter().any(|asked| asked.path.contains(&whole.path)));
    let from = asked.iter().find(|asked| asked.cdn && asked.path.contains(&part.path)).unwrap().from;
    assert_eq!(from, Some(150_000));
}

#[test]
fn downloads_at_the_same_time_share_the_work() {
    for dest in [&[][..], &["--dest", "weights"]] {
        let sandbox = Sandbox::new();
        let args = [&["llada-8b-instruct"], dest].concat();
        let start = || sandbox.fetch(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut running = [start(), start(), start()];
        for child in &mut running {
            assert!(child.wait().unwrap().success());
        }
        sandbox.assert_whole(&if dest.is_empty() { sandbox.snapshot() } else { sandbox.path("weights") });
        let contents = sandbox.hub.asked().iter().filter(|asked| asked.cdn).count();
        assert_eq!(contents, 3, "each file once");
    }
}

#[test]
fn the_variables_of_the_environment_say_where_the_cache_is() {
    for (name, folder) in [("HF_HUB_CACHE", "elsewhere"), ("XDG_CACHE_HOME", "elsewhere/huggingface/hub")] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.fetch(&["llada-8b-instruct"]);
        command.env_remove("HF_HOME").env(name, sandbox.path("elsewhere"));
        assert_eq!(outcome(&mut command).code, Some(0));
        assert!(sandbox.path(folder).join("models--GSAI-ML--LLaDA-8B-Instruct/refs/main").exists(), "{name}");
    }
}

#[test]
fn what_stands_for_the_home_folder_is_replaced() {
    for value in ["~/x", "$HOME/x", "${HOME}/x"] {
        let sandbox = Sandbox::new();
        assert_eq!(outcome(sandbox.fetch(&["llada-8b-instruct"]).env("HF_HOME", value)).code, Some(0));
        let reference = sandbox.path("home/x/hub/models--GSAI-ML--LLaDA-8B-Instruct/refs/main");
        assert!(reference.exists(), "{value}");
    }
}

#[test]
fn offline_is_what_the_first_variable_that_is_not_empty_says() {
    for (first, second, offline) in [("", "1", true), ("0", "1", false), ("yes", "0", true), ("no", "", false)] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.fetch(&["llada-8b-instruct"]);
        command.env("HF_HUB_OFFLINE", first).env("TRANSFORMERS_OFFLINE", second);
        let expected = if offline { Some(3) } else { Some(0) };
        assert_eq!(outcome(&mut command).code, expected, "{first:?} {second:?}");
    }
}
