//! `llada chat` over pipes: history, settings, files, errors that do not end it, and interrupts.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::{book::root, command, stderr, stdout};

/// `llada chat` with llada-tiny, in `folder`.
fn begin(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = command();
    command.args(["chat", "--model"]).arg(root().join("models/llada-tiny")).args(args);
    command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn say(child: &mut Child, lines: &str) {
    child.stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
}

/// All that a chat says to these lines.
fn chat(folder: &TempDir, args: &[&str], lines: &str) -> Output {
    let mut child = begin(folder, &[&["--gen-length", "32"], args].concat()).spawn().unwrap();
    say(&mut child, lines);
    drop(child.stdin.take());
    child.wait_with_output().unwrap()
}

fn saved(folder: &TempDir, file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.path().join(file)).unwrap()).unwrap()
}

/// What `llada batch` answers to this request.
fn batch(folder: &TempDir, request: &Value) -> Value {
    fs::write(folder.path().join("requests.jsonl"), request.to_string()).unwrap();
    let _ = fs::remove_file(folder.path().join("results.jsonl"));
    let mut command = command();
    command.args(["batch", "--input", "requests.jsonl", "--output", "results.jsonl", "--model"]);
    stdout(&command.arg(root().join("models/llada-tiny")).current_dir(folder).output().unwrap());
    saved(folder, "results.jsonl")
}

const SUM: &str = "What is 345 + 78?\n";

#[test]
fn answers_alone_are_standard_output_and_the_end_of_input_ends_the_chat() {
    let output = chat(&tempdir().unwrap(), &[], SUM);
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("423\n", ""));
}

/// The second answer is that to the whole conversation, and of a saved chat too, under the settings that were saved.
#[test]
fn a_chat_remembers_what_was_said_and_goes_on_from_a_file() {
    let folder = tempdir().unwrap();
    let lines =
        "/set steps 4 temperature 0.7\n/system Be brief.\nWhat is 345 + 78?\n/save chat.json\nWhat is 12 + 13?\n";
    let output = chat(&folder, &[], lines);
    assert_eq!(stderr(&output), "3 messages in chat.json\n");
    let answers = stdout(&output);
    let answers: Vec<&str> = answers.lines().collect();
    let mut request = saved(&folder, "chat.json");
    let said = |role: &str, text: &str| json!({"role": role, "content": text});
    let messages = [said("system", "Be brief."), said("user", SUM.trim()), said("assistant", answers[0])];
    assert_eq!(request["messages"], Value::from(messages.to_vec()));
    assert_eq!(
        (&request["steps"], &request["temperature"], &request["gen_length"]),
        (&4.into(), &0.7.into(), &32.into())
    );

    let resumed = chat(&folder, &["--steps", "1"], "/load chat.json\nWhat is 12 + 13?\n");
    assert_eq!(stderr(&resumed), "3 messages in chat.json\n");
    assert_eq!(stdout(&resumed).lines().collect::<Vec<_>>(), answers[1..]);
    request["messages"].as_array_mut().unwrap().push(said("user", "What is 12 + 13?"));
    assert_eq!(batch(&folder, &request)["nfe"], 4);
    let text = batch(&folder, &request)["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with(answers[1]), "{text:?} {answers:?}");
}

#[test]
fn what_is_taken_back_was_never_said() {
    let folder = tempdir().unwrap();
    let lines = "Reverse this list: fox, milk.\n/undo\nWhat is 345 + 78?\n/save chat.json\n/reset\n/undo\n";
    let output = chat(&folder, &["--steps", "8"], lines);
    assert_eq!(saved(&folder, "chat.json")["messages"].as_array().unwrap().len(), 2);
    assert_eq!(stdout(&output).lines().last(), Some("423"));
    let expected = "taken back: Reverse this list: fox, milk.\n2 messages in chat.json\n\
                    error: there is nothing to take back\nhint: /help lists the commands\n";
    assert_eq!(stderr(&output), expected);
}

#[test]
fn options_are_set_shown_and_taken_back() {
    let lines = "/set decoder threshold threshold 0.95\n/set\n/set decoder default threshold default steps 2\n/set\n";
    let shown = stderr(&chat(&tempdir().unwrap(), &[], lines));
    let (before, after) = shown.split_once("\ntop_p default\n").unwrap();
    assert!(before.contains("decoder threshold\n") && before.contains("threshold 0.95"), "{before}");
    assert!(before.contains("steps default\n") && before.contains("gen_length 32\n"), "{before}");
    assert!(after.contains("decoder schedule\n") && after.contains("steps 2\n"), "{after}");
}

/// Each is answered with a message and a hint in the words of the chat, and the next message is answered.
#[test]
fn errors_do_not_end_a_chat_and_change_nothing() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("broken.json"), "{\"messages\": 3}").unwrap();
    let long = "a lamp ".repeat(300);
    for (line, error, hint) in [
        ("/dance", "there is no command /dance", "hint: /help lists the commands"),
        ("/set stepps 3", "unknown field `stepps`", "hint: /set lists the options"),
        ("/set steps", "steps has no value", "hint: /set steps default"),
        ("/set threshold default", "threshold was not set", "hint: /set lists what holds"),
        ("/set gamma 5", "decoder schedule has no option gamma", "hint: /set decoder entropy_bounded"),
        ("/set block_length 16 steps 1", "steps 1 is less than the 2 blocks", "hint: /set steps 2"),
        ("/set gen_length 1000", "gen_length 1000 exceed max_sequence_length 256", "hint: /set gen_length 256"),
        ("/set temperature -1", "temperature -1 is outside", ""),
        ("/load nothing.json", "cannot read nothing.json", ""),
        ("/load broken.json", "broken.json: not a conversation", "hint: /save writes one"),
        ("/save nowhere/chat.json", "cannot write nowhere/chat.json", ""),
        (&long, "exceed max_sequence_length 256", "hint: /undo or /reset for a shorter conversation"),
    ] {
        let output = chat(&folder, &["--steps", "8"], &format!("{line}\n{SUM}/save chat.json\n"));
        let (told, answers) = (stderr(&output), stdout(&output));
        assert!(told.starts_with("error: ") && told.contains(error) && told.contains(hint), "{line}: {told}");
        assert_eq!((answers.as_str(), told.lines().last()), ("423\n", Some("2 messages in chat.json")), "{line}");
        assert_eq!(saved(&folder, "chat.json")["steps"], 8);
    }
}

#[test]
fn a_chat_that_cannot_begin_is_a_usage_error() {
    let folder = tempdir().unwrap();
    let output = chat(&folder, &["--block-length", "16", "--steps", "1"], SUM);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("\nhint: --steps 2"), "{}", stderr(&output));
}

/// While it is watched an answer is a line a step. Quitting leaves the rest of the lines unread.
#[test]
fn watching_is_switched_on_and_off() {
    let lines = format!("/set steps 2\n/watch on\n{SUM}/watch off\n{SUM}/quit\n{SUM}");
    let output = chat(&tempdir().unwrap(), &[], &lines);
    let shown = stderr(&output);
    assert_eq!(stdout(&output).lines().count(), 2);
    assert_eq!(shown.lines().filter(|line| line.starts_with("step ")).count(), 2, "{shown}");
    assert!(!shown.contains("345"), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.contains("32 tokens, 2 forwards")).count(), 1, "{shown}");
}

/// Ctrl-C stops the answer, forgets its message, and the next one is answered.
#[cfg(unix)]
#[test]
fn an_interrupt_stops_the_answer_and_not_the_chat() {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    let folder = tempdir().unwrap();
    let mut child = begin(&folder, &["--watch", "--gen-length", "200", "--block-length", "200"]).spawn().unwrap();
    let id = Pid::from_raw(child.id() as i32);
    say(&mut child, SUM);
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.by_ref().any(|line| line.starts_with("step ")));
    kill(id, Signal::SIGINT).unwrap();
    assert!(told.by_ref().any(|line| line == "stopped; the message is forgotten"));
    say(&mut child, &format!("/set gen_length 32 block_length default steps 8\n{SUM}/save chat.json\n"));
    drop(child.stdin.take());
    assert!(told.any(|line| line == "2 messages in chat.json"));
    assert_eq!(stdout(&child.wait_with_output().unwrap()), "423\n");
}
