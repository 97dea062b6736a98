//! `setup`: what it finds, what it makes, and what it leaves alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use crate::sandbox::{Outcome, Sandbox, names, outcome};

const CPU: &str = "libtorch-2.13.0-cpu";

fn assert_fails(outcome: &Outcome, code: i32, message: &str, hint: &str) {
    assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
    assert!(outcome.stderr.contains(message), "{}", outcome.stderr);
    let last = outcome.stderr.lines().last().unwrap();
    assert!(last.starts_with("hint: ") && last.contains(hint), "{last}");
}

#[test]
fn a_wheel_is_installed_once() {
    let sandbox = Sandbox::new();
    let first = sandbox.run(&["setup"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let link = sandbox.path("checkout/.libtorch");
    assert_eq!(fs::read_link(&link).unwrap(), sandbox.path("cache/llada").join(CPU));
    assert_eq!(fs::read_to_string(link.join("build-version")).unwrap(), "2.13.0+cpu\n");
    assert_eq!(names(&link), ["build-version", "include", "lib"]);
    assert_eq!(
        names(&link.join("lib")),
        ["libc10.so", "libcudart.so.13", "libcupti.so.13", "libgomp.so.1", "libtorch.so", "libtorch_cpu.so"]
    );
    assert_eq!(sandbox.cached(), [CPU]);

    let second = sandbox.run(&["setup"]);
    assert_eq!(second.code, Some(0));
    assert_eq!(second.stdout.lines().count(), 1, "{}", second.stdout);
    assert!(second.stdout.contains("`.libtorch` is ready"));
    assert_eq!(sandbox.downloads(), 1);
}

#[test]
fn the_size_is_said_before_the_download() {
    let sandbox = Sandbox::new();
    let offline = outcome(sandbox.xtask(&["setup"]).env("FAKE_PIP", "offline"));
    assert!(offline.stdout.contains("download  about 540 MB"), "{}", offline.stdout);
}

/// The headers without which `llada` is built without NCCL.
#[test]
fn the_cuda_build_comes_with_what_pytorch_does_not_bring() {
    let dry = Sandbox::new().run(&["setup", "--dry-run", "--cuda"]);
    let source = "pip: torch==2.13.0 nvidia-cuda-crt==13.0.* nvidia-cuda-cccl==13.0.*";
    assert!(dry.stdout.contains(source), "{}", dry.stdout);
}

#[test]
fn a_dry_run_changes_nothing() {
    for args in [&["setup", "--dry-run"][..], &["setup", "--dry-run", "--cuda"]] {
        let sandbox = Sandbox::new();
        let dry = sandbox.run(args);
        assert_eq!(dry.code, Some(0));
        assert!(dry.stdout.contains("dry run: nothing was changed"));
        assert_eq!(sandbox.downloads(), 0);
        assert!(!sandbox.path("cache").exists() && !sandbox.path("checkout/.libtorch").is_symlink());
    }
}

#[test]
fn the_cache_serves_every_checkout() {
    let sandbox = Sandbox::new();
    sandbox.run(&["setup"]);
    fs::remove_file(sandbox.path("checkout/.libtorch")).unwrap();
    assert_eq!(sandbox.run(&["setup"]).code, Some(0));
    assert_eq!(sandbox.downloads(), 1);
}

#[test]
fn a_damaged_cache_is_made_again() {
    let sandbox = Sandbox::new();
    sandbox.run(&["setup"]);
    let library = sandbox.path("checkout/.libtorch/lib/libc10.so");
    fs::remove_file(&library).unwrap();
    assert_eq!(sandbox.run(&["setup"]).code, Some(0));
    assert!(library.exists());
    assert_eq!((sandbox.downloads(), sandbox.cached()), (2, vec![CPU.to_owned()]));
}

#[test]
fn runs_at_the_same_time_do_not_disturb_each_other() {
    let sandbox = Sandbox::new();
    let start = || sandbox.xtask(&["setup"]).stdout(Stdio::null()).spawn().unwrap();
    let mut running = [start(), start(), start()];
    for child in &mut running {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(sandbox.cached(), [CPU]);
    assert_eq!(names(&sandbox.path("checkout")), [".libtorch", "xtask"]);
}

#[test]
fn a_failed_download_leaves_nothing() {
    let sandbox = Sandbox::new();
    let offline = outcome(sandbox.xtask(&["setup"]).env("FAKE_PIP", "offline"));
    assert_fails(&offline, 3, "could not reach its package index", "cargo xtask setup");
    assert!(sandbox.cached().is_empty());
    assert!(!sandbox.path("checkout/.libtorch").is_symlink());
}

#[test]
fn an_installed_torch_is_used_in_place() {
    for (cuda, args) in [(false, &["setup"][..]), (true, &["setup", "--cuda"])] {
        let sandbox = Sandbox::new();
        let torch = sandbox.installed_torch("2.13.0+any", cuda);
        assert_eq!(sandbox.run(args).code, Some(0));
        let linked = fs::canonicalize(sandbox.path("checkout/.libtorch")).unwrap();
        assert_eq!(linked, fs::canonicalize(torch).unwrap());
        assert_eq!(sandbox.downloads(), 0);
    }
}

#[test]
fn the_cpu_part_of_an_installed_cuda_torch_is_linked() {
    let sandbox = Sandbox::new();
    sandbox.installed_torch("2.13.0+cu130", true);
    assert_eq!(sandbox.run(&["setup"]).code, Some(0));
    let lib = sandbox.path("checkout/.libtorch/lib");
    assert_eq!(names(&lib), ["libc10.so", "libcudart.so.13", "libtorch.so", "libtorch_cpu.so"]);
    assert_eq!(fs::read_link(lib.join("libtorch.so")).unwrap(), Path::new("libtorch_cpu.so"));
    assert!(sandbox.run(&["setup", "--from", "pytorch"]).stdout.contains("is ready"));
    assert_eq!(sandbox.downloads(), 0);
}

#[test]
fn an_installed_torch_of_another_release_is_passed_over() {
    let sandbox = Sandbox::new();
    sandbox.installed_torch("2.5.1+cpu", false);
    let asked = sandbox.run(&["setup", "--from", "pytorch"]);
    assert_fails(&asked, 3, "holds libtorch 2.5.1+cpu", "pip install torch==2.13.0");
    assert_eq!(sandbox.run(&["setup"]).code, Some(0));
    assert_eq!(sandbox.downloads(), 1);
}

#[test]
fn without_python_it_says_what_to_install() {
    let sandbox = Sandbox::new();
    let bare = outcome(sandbox.xtask(&["setup"]).env("PATH", sandbox.path("nothing")));
    assert_fails(&bare, 3, "`python3` is not installed", "install python3");
}

#[test]
fn a_folder_must_hold_the_right_release() {
    let sandbox = Sandbox::new();
    sandbox.libtorch("right", "2.13.0+cpu");
    sandbox.libtorch("wrong", "2.5.1+cpu");
    let wrong = sandbox.run(&["setup", "--from", "../wrong"]);
    assert_fails(&wrong, 1, "../wrong holds libtorch 2.5.1+cpu, and tch needs 2.13.0", "cargo xtask setup");
    assert_fails(&sandbox.run(&["setup", "--from", "../absent"]), 1, "does not exist", "cargo xtask setup");
    assert_eq!(sandbox.run(&["setup", "--from", "../right"]).code, Some(0));
    let linked = fs::canonicalize(sandbox.path("checkout/.libtorch")).unwrap();
    assert_eq!(linked, fs::canonicalize(sandbox.path("right")).unwrap());
}

#[test]
fn the_users_libtorch_wins_and_is_checked() {
    let sandbox = Sandbox::new();
    let right = sandbox.libtorch("right", "2.13.0+cpu");
    let wrong = sandbox.libtorch("wrong", "2.5.1+cpu");
    let ready = outcome(sandbox.xtask(&["setup"]).env("LIBTORCH", &right));
    assert!(ready.stdout.starts_with("LIBTORCH is ready"), "{}", ready.stdout);
    let bad = outcome(sandbox.xtask(&["setup"]).env("LIBTORCH", &wrong));
    assert_fails(&bad, 3, "holds libtorch 2.5.1+cpu", "unset LIBTORCH");
    let hidden = outcome(sandbox.xtask(&["setup", "--from", "wheel"]).env("LIBTORCH", &right));
    assert_fails(&hidden, 1, "cargo would use it", "unset LIBTORCH");
    // What cargo hands down by default is not the user's word.
    let default = sandbox.path("checkout/.libtorch");
    symlink(&right, &default).unwrap();
    let plain = outcome(sandbox.xtask(&["setup"]).env("LIBTORCH", &default));
    assert!(plain.stdout.starts_with("`.libtorch` is ready"), "{}", plain.stdout);
}

#[test]
fn a_folder_of_the_users_is_not_touched() {
    let sandbox = Sandbox::new();
    sandbox.libtorch("checkout/.libtorch", "2.5.1+cpu");
    assert_fails(&sandbox.run(&["setup"]), 1, "it is not touched", "mv .libtorch");
    assert!(sandbox.path("checkout/.libtorch/lib/libc10.so").exists());
}

#[test]
fn a_word_that_is_no_command_is_a_usage_error() {
    assert_eq!(Sandbox::new().run(&["setpu"]).code, Some(2));
}
