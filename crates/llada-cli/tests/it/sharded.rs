//! Checkpoints that several processes write: killed while they write one, and without a folder that they share.
#![cfg(target_os = "linux")]

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::symlink, process::ExitStatusExt},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use crate::{
    command,
    launch::reached,
    stderr, stdout,
    training::{signal, weights, workplace},
};

/// The two ranks of `llada pretrain --config run.toml --out OUT --shard optimizer`, each in its folder. The files that one of
/// them may write have at most so many kilobytes.
fn ranks(folders: [&Path; 2], out: &str, limit: Option<(usize, u32)>) -> [Child; 2] {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    [0, 1].map(|rank| {
        let mut process = Command::new("bash");
        let limit = limit.filter(|(limited, _)| *limited == rank).map(|(_, size)| format!("ulimit -c 0 -f {size};"));
        let script = format!("{} exec \"$@\"", limit.unwrap_or_default());
        process.args(["-c", &script, "rank"]).arg(command().get_program());
        process.args(["pretrain", "--config", "run.toml", "--out", out, "--shard", "optimizer"]);
        process.envs([("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("OMP_NUM_THREADS", "1")]);
        process.env("RANK", rank.to_string()).env("LOCAL_RANK", "0").env("MASTER_PORT", port.to_string());
        process.current_dir(folders[rank]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    })
}

fn wait(ranks: [Child; 2]) -> [Output; 2] {
    ranks.map(|rank| rank.wait_with_output().unwrap())
}

/// The weights and the moments after the last step.
fn numbers(folder: &Path, out: &str) -> Vec<Vec<u8>> {
    let checkpoint = format!("{out}/checkpoints/step-00000060");
    let merged = format!("{out}-merged");
    let output = command().current_dir(folder).args(["checkpoint", "merge", &checkpoint, "--out", &merged]).output();
    assert_eq!(stdout(&output.unwrap()), format!("{checkpoint} -> {merged}\n"));
    let moments = ["exp_avg", "exp_avg_sq"].map(|part| folder.join(&merged).join(part).join("model.safetensors"));
    moments.iter().map(|file| fs::read(file).unwrap()).chain([weights(folder, out)]).collect()
}

fn checkpoints(folder: &Path, out: &str) -> Vec<String> {
    let entries = fs::read_dir(folder.join(out).join("checkpoints")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A process that writes more than its limit is killed where it writes, by signal 25.
#[test]
fn a_rank_that_is_killed_while_it_writes_leaves_the_checkpoint_before() {
    let folder = workplace();
    let at = folder.path();
    for output in wait(ranks([at, at], "whole", None)) {
        stdout(&output);
    }
    let expected = numbers(at, "whole");
    for killed in [0, 1] {
        let out = &format!("killed-{killed}");
        let stopped = ranks([at, at], out, None);
        reached(at, out, 7);
        signal(&stopped[0], "-TERM");
        wait(stopped);
        let before = checkpoints(at, out);
        // Metrics are smaller, and slices larger.
        let outputs = wait(ranks([at, at], out, Some((killed, 40))));
        assert_eq!(outputs[killed].status.signal(), Some(25), "{}", stderr(&outputs[killed]));
        let told = stderr(&outputs[1 - killed]);
        assert!(told.contains("has lost another process in "), "{told}");
        assert!(told.contains("hint: the last checkpoint is whole"), "{told}");
        let mut after = checkpoints(at, out);
        // Rank 0 has removed what the other had begun. If it is the one that was killed, the next run does.
        assert_eq!(after.iter().any(|name| name.ends_with(".tmp")), killed == 0, "{after:?}");
        after.retain(|name| !name.ends_with(".tmp"));
        assert_eq!(before, after);
        for output in wait(ranks([at, at], out, None)) {
            stdout(&output);
        }
        assert!(numbers(at, out) == expected, "rank {killed}");
        assert_eq!(checkpoints(at, out), ["step-00000055", "step-00000060"]);
    }
}

#[test]
fn ranks_that_do_not_share_the_folder_of_the_run_are_told() {
    let (folder, other) = (workplace(), tempfile::tempdir().unwrap());
    for name in ["run.toml", "data", "tokenizer"] {
        symlink(folder.path().join(name), other.path().join(name)).unwrap();
    }
    let folders = [folder.path(), other.path()];
    let outputs = wait(ranks(folders, "run", None));
    let told = "run/checkpoints/step-00000005.tmp: rank 1 does not see what another process has written there\n\
                hint: the folder out has to be on a file system that all processes share\n";
    for (output, begin) in outputs.iter().zip(["error: rank 1: ", "error: "]) {
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(output).ends_with(&format!("{begin}{told}")), "{}", stderr(output));
    }
    assert!(checkpoints(folder.path(), "run").is_empty());
    // One of them finds checkpoints, and the other none.
    fs::create_dir(folder.path().join("run/checkpoints/step-00000005")).unwrap();
    for output in wait(ranks(folders, "run", None)) {
        let told = stderr(&output);
        assert!(
            told.contains("rank 1 has opened another run than rank 0: the list of checkpoints is [], not [5]"),
            "{told}"
        );
        assert!(told.contains("a folder out that they share"), "{told}");
    }
}
