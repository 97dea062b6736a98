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
pub(crate) fn workplace() -> TempDir {
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

/// `llada TRAINING --config run.toml --out OUT`, in the background, once it has written `lines` lines of metrics.
fn started(training: &str, folder: &Path, out: &str, lines: usize) -> Child {
    let child = command()
        .current_dir(folder)
        .args([training, "--config", "run.toml", "--out", out])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = folder.join(out).join("metrics.jsonl");
    while fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < lines {
        std::thread::yield_now();
    }
    child
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The weights after the last step, merged if they are divided.
pub(crate) fn weights(folder: &Path, out: &str) -> Vec<u8> {
    let mut checkpoint = folder.join(out).join("checkpoints/step-00000060");
    if !checkpoint.join("model.safetensors").exists() {
        let merged = folder.join(out).join("merged");
        let [from, to] = [&checkpoint, &merged].map(|path| path.to_str().unwrap());
        stdout(&llada(folder, &["checkpoint", "merge", from, "--out", to]));
        checkpoint = merged;
    }
    fs::read(checkpoint.join("model.safetensors")).unwrap()
}

#[test]
fn a_run_that_is_stopped_and_killed_ends_as_if_it_had_not_been() {
    let folder = workplace();
    let at = folder.path();
    stdout(&llada(at, &["pretrain", "--config", "run.toml", "--out", "whole"]));

    let stopped = started("pretrain", at, "parts", 7);
    signal(&stopped, "-TERM");
    let output = stopped.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: the same command goes on from there"));

    let mut killed = started("pretrain", at, "parts", 22);
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

/// A folder with a tokenizer, `chats/` with two files of conversations, and `run.toml` for fine-tuning on them.
fn conversations() -> TempDir {
    let folder = workplace();
    let at = folder.path();
    fs::create_dir(at.join("chats")).unwrap();
    let lines = |numbers: std::ops::Range<usize>| -> String {
        let line = |i| format!("{{\"instruction\": \"{i}\", \"input\": \"\", \"output\": \"cat {i}\"}}\n");
        numbers.map(line).collect()
    };
    fs::write(at.join("chats/a.jsonl"), lines(0..10)).unwrap();
    fs::write(at.join("chats/b.jsonl"), lines(10..17) + "{\"output\": \"nothing\"}\n" + &lines(17..18)).unwrap();
    let run = RUN.replace("\"data\"", "\"chats\"").replace("max_sequence_length = 32", "max_sequence_length = 128");
    fs::write(at.join("run.toml"), run + "sft = { padding = \"one_eos\" }\n").unwrap();
    folder
}

#[test]
fn conversations_are_learned_as_files_have_them_and_a_kill_changes_nothing() {
    let folder = conversations();
    let at = folder.path();
    let output = llada(at, &["sft", "--config", "run.toml", "--out", "whole"]);
    let said = stderr(&output);
    assert!(said.contains("left out of 19 records: 1\n  1 not of the format\n"), "{said}");
    assert!(said.contains("chats/b.jsonl, record 8: there is no instruction"), "{said}");
    stdout(&output);
    let mut killed = started("sft", at, "parts", 22);
    signal(&killed, "-KILL");
    killed.wait().unwrap();
    stdout(&llada(at, &["sft", "--config", "run.toml", "--out", "parts"]));
    assert!(weights(at, "whole") == weights(at, "parts"));
}

#[test]
fn a_dry_run_shows_the_first_batch_and_trains_nothing() {
    let folder = conversations();
    let at = folder.path();
    let shown = |extra: &[&str]| {
        stdout(&llada(at, &[&["sft", "--config", "run.toml", "--out", "dry", "--dry-run"], extra].concat()))
    };
    let batch = shown(&[]);
    assert!(batch.starts_with("18 records, 1 left out\n  1 not of the format\n  chats/b.jsonl, record 8"), "{batch}");
    assert!(batch.contains("\nstep 1: 4 rows; «may be masked», ⟦is masked⟧\n\nrow 1: "), "{batch}");
    assert!(!at.join("dry").exists());
    // What is learned is in marks, and nothing else: the answer, its end of turn, and one end of text.
    for row in batch.lines().filter(|line| line.starts_with("<|startoftext|>")) {
        let (prompt, answer) = row.split_at(row.find(['«', '⟦']).unwrap());
        assert!(prompt.ends_with("<|start_header_id|>assistant<|end_header_id|>⏎⏎"), "{row}");
        let text: String = answer.chars().filter(|letter| !"«»⟦⟧".contains(*letter)).collect();
        assert!(text.starts_with("cat ") && text.ends_with("<|eot_id|><|endoftext|>"), "{row}");
    }
    assert!(batch.contains('⟦') && batch == shown(&[]));
    assert!(shown(&["--complementary", "true"]).contains("\nstep 1: 8 rows;"));
    assert!(shown(&["--padding", "answer", "--answer-length", "20"]).contains("<|endoftext|>×"));
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
        (
            vec!["--device", "tpu"],
            "expected cpu, cuda, or cuda:1 and so on\nin `device`\nhint: the --help of the command",
        ),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
    for (training, key, readers) in [
        ("pretrain", "rl = { objective = \"espo\" }", "llada rl"),
        ("pretrain", "group_by_length = true", "llada sft, llada distill"),
        ("prefer", "distillation = { gen_length = 8 }", "llada distill"),
        ("sft", "random_length = false", "llada pretrain"),
        ("rl", "sft = { turns = \"all\" }", "llada sft, llada distill"),
    ] {
        fs::write(at.join("other.toml"), format!("{key}\n{RUN}")).unwrap();
        let output = llada(at, &[training, "--config", "other.toml", "--out", "run"]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let key = key.split(' ').next().unwrap();
        let expected =
            format!("{key} is given, and this kind of training does not read it\nhint: it is for {readers}\n");
        assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
    }
    fs::write(at.join("run.toml"), format!("learning_rate = 1\n{RUN}")).unwrap();
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("unknown field `learning_rate`"), "{}", stderr(&output));
    assert_eq!(llada(at, &["sft"]).status.code(), Some(2));
    let rl = "out = \"rl\"\ninit = \"tokenizer\"\nsteps = 1\nbatch_size = 8\nrl.tasks = [\"gsm8k\"]";
    fs::write(at.join("rl.toml"), format!("{rl}\ndata = [{{ path = \"a\" }}, {{ path = \"b\" }}]")).unwrap();
    for (args, code, message) in [
        ("rl --config rl.toml", 2, "data is a list\nhint: pre-training and fine-tuning alone mix datasets"),
        ("sft --data data --init run/model --steps 1 --out sft", 1, "another kind of training\nhint: llada pretrain\n"),
        ("data prepare --input book.txt --tokenizer tokenizer --out data", 1, "\nhint: --out FOLDER of another name"),
        (
            "pretrain --data data=-1 --init run/model --steps 1 --out other",
            2,
            "data.weight is -1\nhint: give data a positive share of the rows, such as 0.3",
        ),
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
