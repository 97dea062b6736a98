//! A hub, a network and a disk that misbehave: what can be mended is, and what cannot is said.

use std::fs;
use std::os::unix::fs::symlink;

use crate::sandbox::{Sandbox, assert_fails, names, outcome};

const ARGS: [&str; 1] = ["llada-8b-instruct"];

/// The first bytes that were asked for of one file on the CDN.
fn starts(sandbox: &Sandbox, path: &str) -> Vec<u64> {
    let asked = sandbox.hub.asked();
    asked.iter().filter(|asked| asked.cdn && asked.path.ends_with(path)).map(|asked| asked.from.unwrap_or(0)).collect()
}

#[test]
fn a_lost_connection_goes_on_where_it_ended() {
    let sandbox = Sandbox::new();
    sandbox.hub.faults().cut_after.extend([100_000, 50_000, 0, 1, 99_999]);
    sandbox.fetched(&["--only", "model-1*"]);
    assert_eq!(starts(&sandbox, "model-1.safetensors"), [0, 100_000, 150_000, 150_000, 150_001, 250_000]);
    sandbox.fetched(&[]);
    sandbox.assert_cached();
}

#[test]
fn a_busy_server_is_asked_again() {
    let sandbox = Sandbox::new();
    sandbox.hub.faults().hub.extend([(429, Some(0)), (500, None), (503, Some(0))]);
    sandbox.hub.faults().cdn.extend([(429, Some(1)), (502, Some(0)), (504, Some(0)), (500, Some(0))]);
    sandbox.fetched(&[]);
    sandbox.assert_cached();
}

#[test]
fn an_expired_address_is_asked_for_anew() {
    let sandbox = Sandbox::new();
    sandbox.hub.faults().cdn.extend([(403, Some(0)), (404, Some(0))]);
    sandbox.fetched(&["--only", "tokenizer.json"]);
    let asked = sandbox.hub.asked();
    assert_eq!(asked.iter().filter(|asked| asked.path.contains("/resolve/")).count(), 3);
}

#[test]
fn a_server_that_stays_down_is_given_up_and_what_there_is_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.hub.faults().cdn.extend([(500, Some(0)); 100]);
    let partial = sandbox.blob(sandbox.file("tokenizer.json")).with_extension("incomplete");
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    fs::write(&partial, &sandbox.file("tokenizer.json").bytes[..70_000]).unwrap();
    let down = outcome(&mut sandbox.fetch(&["llada-8b-instruct", "--only", "tokenizer.json"]));
    assert_fails(&down, 3, "after many tries", "cargo xtask fetch-weights GSAI-ML/LLaDA-8B-Instruct --only");
    assert!(down.stderr.contains("because: the server answered 500"), "{}", down.stderr);
    assert_eq!(fs::read(&partial).unwrap().len(), 70_000);
    sandbox.assert_nothing_half_written();
}

#[test]
fn a_server_that_cannot_skip_sends_it_all_again() {
    let sandbox = Sandbox::new();
    sandbox.hub.faults().ignore_range = true;
    sandbox.hub.faults().cut_after.extend([100_000, 200_000]);
    sandbox.fetched(&["--only", "model-1*"]);
    assert_eq!(starts(&sandbox, "model-1.safetensors"), [0, 100_000, 200_000]);
    sandbox.fetched(&[]);
    sandbox.assert_cached();
}

#[test]
fn wrong_content_is_fetched_again_and_never_kept() {
    let sandbox = Sandbox::new();
    sandbox.hub.faults().flips = 1;
    sandbox.fetched(&[]);
    sandbox.assert_cached();

    let sandbox = Sandbox::new();
    sandbox.hub.faults().flips = usize::MAX;
    let wrong = outcome(&mut sandbox.fetch(&["llada-8b-instruct", "--only", "model-1*"]));
    assert_fails(&wrong, 1, "model-1.safetensors is not what the hub announced, twice", "HF_ENDPOINT");
    let digest = sandbox.file("model-1.safetensors").digest();
    assert!(wrong.stderr.contains(&format!("where SHA-256 {digest} was announced")), "{}", wrong.stderr);
    assert!(!sandbox.snapshot().exists() && !sandbox.blob(sandbox.file("model-1.safetensors")).exists());
}

#[test]
fn a_damaged_beginning_is_found_out() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("model-1.safetensors");
    fs::create_dir_all(sandbox.repository().join("blobs")).unwrap();
    for beginning in [vec![0; 1000], vec![0; 300_001], vec![0; 400_000]] {
        fs::write(sandbox.blob(file).with_extension("incomplete"), beginning).unwrap();
        sandbox.fetched(&[]);
        sandbox.assert_cached();
        fs::remove_file(sandbox.blob(file)).unwrap();
    }
}

#[test]
fn another_size_than_announced_is_refused() {
    for (short_by, surplus, message) in
        [(7, 0, "has 299994 bytes of it, where 300001 were announced"), (0, 9, "more came than its 300001 bytes")]
    {
        let sandbox = Sandbox::new();
        // What is there of it already is thrown away only if something wrong was added to it.
        let file = sandbox.file("model-1.safetensors");
        let partial = sandbox.blob(file).with_extension("incomplete");
        fs::create_dir_all(partial.parent().unwrap()).unwrap();
        fs::write(&partial, &file.bytes[..100_000]).unwrap();
        sandbox.hub.faults().short_by = short_by;
        sandbox.hub.faults().surplus = surplus;
        let wrong = outcome(&mut sandbox.fetch(&["llada-8b-instruct", "--only", "model-1*"]));
        assert_fails(&wrong, 1, message, "HF_ENDPOINT");
        sandbox.assert_nothing_half_written();
        assert!(!sandbox.snapshot().exists());
        assert_eq!(fs::metadata(&partial).unwrap().len(), if surplus > 0 { 0 } else { 100_000 });
    }
}

#[test]
fn a_hub_that_is_not_there_is_told_from_one_that_is_busy() {
    let sandbox = Sandbox::new();
    // Nothing listens on the first port.
    let away = outcome(sandbox.fetch(&ARGS).env("HF_ENDPOINT", "http://127.0.0.1:1"));
    assert_fails(&away, 3, "no connection to http://127.0.0.1:1", "HF_HUB_OFFLINE=1 cargo xtask fetch-weights");
    let nonsense = outcome(sandbox.fetch(&ARGS).env("HF_ENDPOINT", "hub"));
    assert_fails(&nonsense, 3, "HF_ENDPOINT=hub is no address", "https://huggingface.co");
}

#[test]
fn too_small_a_disk_is_noticed_before_the_first_byte() {
    let sandbox = Sandbox::new();
    sandbox.program("df", "#!/bin/sh\necho 'head'\necho 'disk 1000 500 500 50% /'\n");
    let small = outcome(&mut sandbox.fetch(&ARGS));
    assert_fails(&small, 3, "0 MB are free where", "export HF_HOME=/a/larger/disk && cargo xtask fetch-weights");
    assert!(small.stderr.contains("601 kB are needed"), "{}", small.stderr);
    assert!(!sandbox.hub.asked().iter().any(|asked| asked.path.contains("/resolve/")));
    assert!(names(&sandbox.path("hf")).is_empty());
}

#[test]
fn a_full_disk_keeps_what_there_is() {
    let sandbox = Sandbox::new();
    let partial = sandbox.blob(sandbox.file("model-1.safetensors")).with_extension("incomplete");
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    symlink("/dev/full", &partial).unwrap();
    let full = outcome(&mut sandbox.fetch(&ARGS));
    assert_fails(&full, 3, "is full; what was downloaded is kept", "df -h");
    fs::remove_file(&partial).unwrap();
    sandbox.assert_nothing_half_written();
    sandbox.fetched(&[]);
    sandbox.assert_cached();
}
