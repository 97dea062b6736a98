//! Rule: libraries know no command line. Their texts name neither flags nor commands of `llada`; a hint is data.

use super::source::has_word;
use super::{Source, Violation};

const RULE: &str = "command-line";

const LIBRARIES: [&str; 11] = [
    "llada",
    "llada-core",
    "llada-distributed",
    "llada-eval",
    "llada-grammar",
    "llada-hub",
    "llada-infer",
    "llada-model",
    "llada-serve",
    "llada-tasks",
    "llada-train",
];

/// The commands of `llada`.
const COMMANDS: [&str; 24] = [
    "adapter",
    "batch",
    "chat",
    "compare",
    "convert",
    "data",
    "decide",
    "distill",
    "eval",
    "filter",
    "generate",
    "inspect",
    "launch",
    "logits",
    "plan",
    "prefer",
    "pretrain",
    "quantize",
    "rl",
    "score",
    "serve",
    "sft",
    "tasks",
    "tokenizer",
];

/// Flags of other programs, which hints may name.
const OTHER_PROGRAMS: [&str; 2] = ["hf download --repo-type", "cargo xtask setup --cuda"];

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let is_library = LIBRARIES.iter().any(|name| source.path.starts_with(format!("crates/{name}/src")));
    if !is_library {
        return found;
    }
    for (line, text) in source.string_lines().take_while(|(line, _)| !source.is_test_code(*line)) {
        let text = OTHER_PROGRAMS.iter().fold(text.to_owned(), |text, program| text.replace(program, ""));
        if let Some(flag) = flag(&text) {
            found.push(source.violation(line, RULE, format!("a text names the flag {flag}; a hint is data")));
        }
        if let Some(command) = COMMANDS.iter().find(|command| has_word(&text, &format!("llada {command}"))) {
            found.push(source.violation(line, RULE, format!("a text names `llada {command}`; a hint is data")));
        }
    }
    found
}

/// Returns the first flag in a text.
fn flag(text: &str) -> Option<&str> {
    for (at, dashes) in text.match_indices("--") {
        let name = &text[at + dashes.len()..];
        let length = name.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(name.len());
        if name.starts_with(|c: char| c.is_ascii_lowercase()) && !text[..at].ends_with(['-', '>']) {
            return Some(&text[at..at + dashes.len() + length]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn flags_and_commands_in_texts_of_libraries_are_found() {
        let library = "crates/llada-infer/src/error.rs";
        for (text, expected) in [
            (r##"#[error("lower --gen-length")]"##, 1),
            (r#"format!("--steps {steps}, or --block-length 8")"#, 1),
            (r#"let hint = "llada inspect DIR";"#, 1),
            (r#"let hint = "llada prefer again";"#, 1),
            (r#"let hint = "llada eval gsm8k --limit 1";"#, 2),
            ("// --steps is a flag of `llada generate`", 0),
            (r#"let text = "a -- b, a---b, llada generates";"#, 0),
            (r#"let hint = "hf download --repo-type dataset a/b c";"#, 0),
            ("#[cfg(test)]\nmod tests {\n    const FLAG: &str = \"--steps\";\n}", 0),
        ] {
            assert_eq!(violations(library, text), expected, "{text}");
        }
    }

    #[test]
    fn the_command_and_tests_may_name_flags() {
        let text = r#"let hint = "--steps 8";"#;
        for path in ["crates/llada-cli/src/exit.rs", "crates/llada-infer/tests/it/main.rs", "xtask/src/cli.rs"] {
            assert_eq!(violations(path, text), 0, "{path}");
        }
    }
}
