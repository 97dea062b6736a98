//! An end at any moment loses nothing, and leaves nothing half-written under its name.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sandbox::Sandbox;

/// Starts a download, and says on `told` when it has ended by itself.
fn start(sandbox: &Sandbox, told: Sender<()>) -> Child {
    let mut child =
        sandbox.fetch(&["llada-8b-instruct"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    thread::spawn(move || {
        let _ = stdout.read_to_end(&mut Vec::new());
        told.send(())
    });
    child
}

#[test]
fn killed_at_fifty_moments_it_still_ends_with_a_whole_cache() {
    let mut sandbox = Sandbox::new();
    let mut random = 7_u64;
    let mut kills = 0;
    while kills < 50 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = (random >> 33) as usize % 400_000;
        let (told, moments) = channel();
        sandbox.hub.faults().alarm = Some((moment, told.clone()));
        let mut child = start(&sandbox, told);
        moments.recv().unwrap();
        child.kill().unwrap();
        let status = child.wait().unwrap();
        sandbox.assert_nothing_half_written();
        if status.signal() == Some(9) {
            kills += 1;
        } else {
            // It was done before: all over again.
            assert!(status.success());
            sandbox.assert_cached();
            sandbox = Sandbox::new();
        }
    }
    sandbox.hub.faults().alarm = None;
    sandbox.fetched(&[]);
    sandbox.assert_cached();
    sandbox.fetched(&["--verify"]);
}

#[test]
fn an_interrupt_says_that_nothing_is_lost() {
    let sandbox = Sandbox::new();
    // How much more arrives before the interrupt is left to chance.
    let file = sandbox.file("model-1.safetensors");
    fs::create_dir_all(sandbox.repository().join("blobs")).unwrap();
    fs::write(sandbox.blob(file).with_extension("incomplete"), &file.bytes[..50_000]).unwrap();
    let (told, moments) = channel();
    sandbox.hub.faults().alarm = Some((150_000, told.clone()));
    sandbox.hub.faults().stall = true;
    let child = start(&sandbox, told);
    moments.recv().unwrap();
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("what was downloaded is kept; the same command goes on from there"), "{said}");

    sandbox.hub.faults().alarm = None;
    sandbox.assert_nothing_half_written();
    sandbox.hub.asked();
    sandbox.fetched(&[]);
    sandbox.assert_cached();
    let asked = sandbox.hub.asked();
    let again = asked.iter().filter(|asked| asked.path.contains(&file.path)).all(|asked| asked.from >= Some(50_000));
    assert!(again, "it goes on from there: {asked:?}");
}
