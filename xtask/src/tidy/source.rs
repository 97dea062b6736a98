//! The input of rules over text: files, and their code with comments and strings replaced by blanks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::Metadata;

use super::Violation;
use crate::workspace;

/// A text file of the workspace.
pub(super) struct Source {
    /// The path relative to the root of the workspace.
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// For Rust files, the text with comments, strings and characters replaced by blanks. It has the same lines.
    pub(super) code: String,
    /// For Rust files, the text with everything but string literals replaced by blanks. It has the same lines.
    strings: String,
    /// The line at which the unit tests start, which are at the end of a file; `usize::MAX` if there are none.
    tests_from: usize,
}

impl Source {
    pub(super) fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let text = text.into();
        let (code, strings) = split(&text);
        let tests_from = (1..).zip(code.lines()).find(|(_, line)| line.starts_with("#[cfg(test)]"));
        let tests_from = tests_from.map_or(usize::MAX, |(line, _)| line);
        Self { path: path.into(), code, strings, tests_from, text }
    }

    /// Returns true if the file or a folder of its path has one of these names.
    pub(super) fn is_under(&self, names: &[&str]) -> bool {
        self.path.components().any(|part| names.iter().any(|name| part.as_os_str() == *name))
    }

    /// Returns the lines of code with their numbers, counted from 1.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }

    /// Returns the lines of string literals with their numbers, counted from 1.
    pub(super) fn string_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.strings.lines())
    }

    /// Returns true if the line belongs to the unit tests.
    pub(super) fn is_test_code(&self, line: usize) -> bool {
        line >= self.tests_from
    }

    pub(super) fn violation(&self, line: usize, rule: &'static str, message: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, rule, message: message.into() }
    }
}

/// Returns true if the line contains `word` as a whole word, not as a part of a longer name.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part_of_name) && !line[at + word.len()..].starts_with(part_of_name))
}

fn part_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Reads all Rust files of the workspace's packages, in order of their paths.
pub(super) fn rust_files(root: &Path) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "benches"] {
        collect(root, &root.join(folder), &mut files)?;
    }
    Ok(files)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<Source>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.ends_with("target") {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push(Source::new(path.strip_prefix(root).unwrap_or(&path), text));
        }
    }
    Ok(())
}

/// Reads the manifests of the workspace's packages.
pub(super) fn manifests(metadata: &Metadata) -> Vec<Source> {
    metadata
        .workspace_packages()
        .iter()
        .filter_map(|package| {
            let path = package.manifest_path.as_std_path();
            let text = fs::read_to_string(path).ok()?;
            Some(Source::new(workspace::shown(path), text))
        })
        .collect()
}

/// Splits a text into its code and its string literals, each with everything else replaced by blanks. Each arm is a rule of
/// Rust's lexer.
fn split(text: &str) -> (String, String) {
    let (mut code, mut strings) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let comment_or_character = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        let string = if first == '"' {
            string(rest)
        } else if !code.ends_with(part_of_name) {
            raw_string(rest)
        } else {
            0
        };
        let length = comment_or_character.max(string).max(first.len_utf8());
        let (part, after) = rest.split_at(length);
        if string > 0 {
            code.push_str(&blank(part));
            strings.push_str(part);
        } else if comment_or_character > 0 {
            code.push_str(&blank(part));
            strings.push_str(&blank(part));
        } else {
            code.push_str(part);
            strings.push_str(&blank(part));
        }
        rest = after;
    }
    (code, strings)
}

/// Replaces everything but line breaks by blanks.
fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

/// Returns the length of a block comment. Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Returns the length of a string with escapes, including its quotes.
fn string(text: &str) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return at + 1,
            // The opening quote is skipped as if it were escaped.
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

/// Returns the length of a raw string such as `r"..."` or `br#"..."#`; 0 for anything else.
fn raw_string(text: &str) -> usize {
    let Some(body) = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r') else {
        return 0;
    };
    let Some(body) = body.trim_start_matches('#').strip_prefix('"') else {
        return 0;
    };
    let start = text.len() - body.len();
    let hashes = text[..start].matches('#').count();
    let close = format!("\"{}", "#".repeat(hashes));
    body.find(&close).map_or(text.len(), |at| start + at + close.len())
}

/// Returns the length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    let closing = match chars.next() {
        // The escaped character itself may be a quote.
        Some((_, '\\')) => chars.skip(1).find(|(_, c)| *c == '\''),
        Some(_) => chars.next().filter(|(_, c)| *c == '\''),
        None => None,
    };
    closing.map_or(0, |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        for (text, expected) in [
            ("a // unsafe\nb", "a          \nb"),
            ("a /* x /* y */ z */ b", "a                   b"),
            (r#"f("a\"b", c)"#, r"f(      , c)"),
            ("f(r#\"a\"b\"#, c)", "f(        , c)"),
            ("f(br#\"a\"b\"#, c)", "f(         , c)"),
            ("let r = rest; r#fn", "let r = rest; r#fn"),
            (r"f('\'', '\\', '\u{1F600}')", r"f(    ,     ,            )"),
            ("f<'a>(x: &'a str, '\"')", "f<'a>(x: &'a str,    )"),
            ("\"one\ntwo\" three", "    \n     three"),
        ] {
            assert_eq!(split(text).0, expected, "{text}");
        }
    }

    #[test]
    fn only_strings_are_left() {
        for (text, expected) in [
            ("f(\"a\", 'b') // \"c\"", "  \"a\"             "),
            ("r#\"a\"b\"#;\n\"c\"", "r#\"a\"b\"# \n\"c\""),
            ("\"a\nb\" c", "\"a\nb\"  "),
        ] {
            assert_eq!(split(text).1, expected, "{text}");
        }
    }

    #[test]
    fn a_word_is_not_found_inside_another() {
        assert!(has_word("unsafe { x }", "unsafe"));
        assert!(has_word("(unsafe)", "unsafe"));
        assert!(!has_word("deny(unsafe_code)", "unsafe"));
        assert!(!has_word("not_unsafe", "unsafe"));
    }
}
