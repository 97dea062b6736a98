//! The reference of the book is what the command says of itself: written from `--help`, compared with what is on disk.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    fs,
};

use crate::{book::root, command};

const BLESS: &str = "LLADA_BLESS";

/// `llada WORDS --help`, without blanks at the ends of lines.
fn help(words: &[&str]) -> String {
    // The width of a terminal would decide where lines break.
    let output = command().env_remove("COLUMNS").args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{words:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    help.trim_end().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The names below `Commands:`.
fn subcommands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

/// A section for `llada WORDS` and each of its commands. Options that another command has too, all of them alike, are
/// written once: `seen` maps them to that command.
fn describe(words: &[&str], seen: &mut HashMap<String, String>, page: &mut String) {
    let text = help(words);
    let name = [&["llada"], words].concat().join(" ");
    let begin = text.find("\nOptions:\n").unwrap_or(text.len());
    let end = text.find("\nData: ").unwrap_or(text.len()).max(begin);
    let options = &text[begin..end];
    let level = if words.is_empty() { "##" } else { "###" };
    let shown = match seen.get(options).filter(|_| words.len() > 1 && !options.is_empty()) {
        Some(first) => format!("{}\nOptions: those of `{first}`.\n{}", &text[..begin], &text[end..]),
        None => text.clone(),
    };
    seen.entry(options.to_owned()).or_insert_with(|| name.clone());
    write!(page, "\n{level} {name}\n\n```text\n{shown}```\n").unwrap();
    for subcommand in subcommands(&text) {
        describe(&[words, &[subcommand]].concat(), seen, page);
    }
}

/// An option of `--help`: its key in a run file, its value, and what it is about.
fn row(option: &str) -> String {
    let mut lines = option.lines();
    let (flag, value) = lines.next().and_then(|line| line.trim().split_once(' ')).unwrap_or_default();
    let about: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    let about = about.join(" ").replace(" [possible values: true, false]", "");
    let (about, default) = match about.split_once(" [default: ") {
        Some((about, default)) => (about.to_owned(), default.trim_end_matches(']').to_owned()),
        None => (about, String::new()),
    };
    let key = flag.trim_start_matches('-').replace('-', "_");
    let value = value.trim_matches(['<', '>']);
    format!("| `{key}` | {value} | {about} | {default} |\n")
}

/// The commands that train.
const TRAINING: [&str; 5] = ["pretrain", "sft", "prefer", "rl", "distill"];

/// The keys of a run file, by table. What several commands have stands once.
fn keys() -> String {
    let (mut page, mut seen) = (String::new(), HashSet::new());
    for command in TRAINING {
        let text = help(&[command]);
        for section in text.split("\nKeys of ").skip(1) {
            let (title, rest) = section.split_once(":\n").unwrap();
            if !seen.insert(title.to_owned()) {
                continue;
            }
            let options = rest.split("\nExample of").next().unwrap();
            let mut characters = title.chars();
            let title: String = characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect();
            write!(page, "\n## {title}\n\n| key | value | what | default |\n|---|---|---|---|\n").unwrap();
            page.extend(options.split("\n\n      --").filter(|option| !option.trim().is_empty()).map(row));
        }
    }
    page
}

/// Compares a page with what it should be, or writes it where `LLADA_BLESS` is set.
fn check(page: &str, expected: &str) {
    let path = root().join("docs/reference").join(page);
    if std::env::var_os(BLESS).is_some() {
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let line = (1..).zip(found.lines().zip(expected.lines())).find(|(_, (found, expected))| found != expected);
    assert!(
        found == expected,
        "docs/reference/{page} is not what the command says, first in {line:?}\nhint: {BLESS}=1 cargo test -p llada-cli reference"
    );
}

#[test]
fn reference_of_commands_is_their_help() {
    let mut page = "# Commands\n\nThe `--help` of every command, as it was written by `LLADA_BLESS=1 cargo test -p \
                    llada-cli reference`.\n"
        .to_owned();
    describe(&[], &mut HashMap::new(), &mut page);
    check("cli.md", &page);
}

#[test]
fn reference_of_run_files_is_the_help_of_training() {
    let head = "# Keys of run files

What `llada pretrain`, `sft`, `prefer`, `rl` and `distill` read from the file after `--config`. Each key is a flag too, with
dashes for underscores and without its table, and a flag wins. A key that is not here is an error, but for those of the
[objectives of `llada rl`](../guides/align.md#rewards). A key without a default has to be given, or is off.

This page is written by `LLADA_BLESS=1 cargo test -p llada-cli reference`.
";
    check("run-files.md", &format!("{head}{}", keys()));
}
