//! A stranger's run: text of their own, a tokenizer, shards, training that is stopped and killed, and an answer.

use std::{
    fs,
    path::Path,
    process::{Child, Output, Stdio},
};

use tempfile::TempDir;

use crate::{command, stderr, stdout};

const RUN: &str = r#"
data = "data"
tokenizer = "tokenizer"
steps = 60
batch_size = 4
checkpoint_every = 5
model = { d_model = 32, n_layers = 2, n_heads = 2, mlp_hidden_size = 64, max_sequence_length = 32 }
schedule = { lr = 3e-3, warmup_steps = 5 }
"#;

/// `llada ARGS` in `folder`.
fn llada(folder: &Path, args: &[&str]) -> Output {
    command().current_dir(folder).args(args).output().unwrap()
}

/// A folder with `book.txt`, `tokenizer/`, `data/` and `run.toml`.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let sentence = |i: usize| format!("The {i}th cat sat on mat number {}.\n\n", i * i);
    fs::write(at.join("book.txt"), (0..200).map(sentence).collect::<String>()).unwrap();
    fs::write(at.join("run.toml"), RUN).unwrap();
    for args in [
        "tokenizer train --input book.txt --vocab-size 300 --out tokenizer",
        "data prepare --input book.txt --tokenizer tokenizer --out data",
    ] {
        stdout(&llada(at, &args.split(' ').collect::<Vec<_>>()));
    }
    folder
}

/// `llada pretrain --config run.toml --out OUT`, in the background, once it has written `lines` lines of metrics.
fn started(folder: &Path, out: &str, lines: usize) -> Child {
    let child = command()
        .current_dir(folder)
        .args(["pretrain", "--config", "run.toml", "--out", out])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = folder.join(out).join("metrics.jsonl");
    while fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < lines {
        std::thread::yield_now();
    }
    child
}

fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn weights(folder: &Path, out: &str) -> Vec<u8> {
    fs::read(folder.join(out).join("checkpoints/step-00000060/model.safetensors")).unwrap()
}

#[test]
fn a_run_that_is_stopped_and_killed_ends_as_if_it_had_not_been() {
    let folder = workplace();
    let at = folder.path();
    stdout(&llada(at, &["pretrain", "--config", "run.toml", "--out", "whole"]));

    let stopped = started(at, "parts", 7);
    signal(&stopped, "-TERM");
    let output = stopped.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: the same command goes on from there"));

    let mut killed = started(at, "parts", 22);
    signal(&killed, "-KILL");
    killed.wait().unwrap();

    let output = llada(at, &["pretrain", "--config", "run.toml", "--out", "parts"]);
    assert!(stderr(&output).contains("going on after step"), "{}", stderr(&output));
    stdout(&output);
    assert!(weights(at, "whole") == weights(at, "parts"));

    let answer = llada(
        at,
        &[
            "generate",
            "--model",
            "parts/model",
            "--prompt",
            "The",
            "--gen-length",
            "8",
            "--block-length",
            "8",
            "--steps",
            "8",
            "--json",
        ],
    );
    assert!(stdout(&answer).contains("\"nfe\":8"), "{}", stdout(&answer));
}

#[test]
fn flags_override_keys_and_wrong_ones_are_refused() {
    let folder = workplace();
    let at = folder.path();
    let run = |extra: &[&str]| llada(at, &[&["pretrain", "--config", "run.toml", "--out", "run"], extra].concat());
    let schedule = ["--lr", "0.125", "--warmup-steps", "0", "--decay-ratio", "0"];
    stdout(&run(&[&["--steps", "2", "--betas", "0.9,0.99"][..], &schedule].concat()));
    let metrics = fs::read_to_string(at.join("run/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 2);
    assert!(metrics.contains("\"lr\":0.125"), "{metrics}");
    for (args, message) in [
        (vec!["--batch-size", "0"], "batch_size is 0\nhint: it has to be at least 1"),
        (vec!["--row-length", "33"], "row_length is 33\nhint: the model's max_sequence_length is 32"),
        (vec!["--init", "run/model"], "hint: it has a shape"),
        (
            vec!["--dtype", "f16"],
            "expected `f32` or `bf16`\nin `dtype`\nhint: the --help of the command lists all keys",
        ),
        (vec!["--device", "tpu"], "expected cpu, cuda, or cuda:1 and so on\nin `device`\nhint: the --help of"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
    fs::write(at.join("run.toml"), format!("learning_rate = 1\n{RUN}")).unwrap();
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("unknown field `learning_rate`"), "{}", stderr(&output));
    assert_eq!(llada(at, &["sft"]).status.code(), Some(2));
    for (args, code, message) in [
        ("sft --data data --init run/model --steps 1 --out sft", 1, "another kind of training\nhint: llada pretrain\n"),
        ("data prepare --input book.txt --tokenizer tokenizer --out data", 1, "\nhint: --out FOLDER of another name"),
        (
            "pretrain --data nowhere --init run/model --steps 1 --out other",
            3,
            "\nhint: is it there, and may it be read?",
        ),
    ] {
        let output = llada(at, &args.split(' ').collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}
