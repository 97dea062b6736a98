//! Rule: certain modules of a crate do not import each other in a circle.
//!
//! An import is a path that starts with `crate::`, outside of tests. A name that the root of the crate re-exports counts as
//! an import of the module that it comes from.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, Violation};

/// A crate and modules of it of which no two import each other, directly or indirectly.
const GROUPS: [(&str, &[&str]); 3] = [
    ("llada-infer", &["cache", "config", "decoder", "method", "options"]),
    ("llada-infer", &["active", "engine", "length", "score"]),
    ("llada-cli", &["args", "commands"]),
];

/// The imports of a crate's modules.
#[derive(Default)]
struct Imports {
    /// For each module, the modules that it imports with the file and line of the first import.
    of: BTreeMap<String, BTreeMap<String, Place>>,
}

#[derive(Clone, Copy)]
struct Place {
    file: usize,
    line: usize,
}

pub(super) fn check(files: &[Source]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (name, modules) in GROUPS {
        let root = format!("crates/{name}/src");
        let files: Vec<&Source> = files.iter().filter(|file| file.path.starts_with(&root)).collect();
        found.extend(check_group(&files, &root, modules));
    }
    found
}

fn check_group(files: &[&Source], root: &str, modules: &[&str]) -> Vec<Violation> {
    let imports = Imports::new(files, root);
    let mut found = Vec::new();
    for (index, first) in modules.iter().enumerate() {
        for second in &modules[index + 1..] {
            let (Some(there), Some(back)) = (imports.path(first, second), imports.path(second, first)) else {
                continue;
            };
            let Place { file, line } = imports.of[&there[0]][&there[1]];
            let circle = [there, back[1..].to_vec()].concat().join(" -> ");
            found.push(files[file].violation(line, "circles", format!("modules import each other: {circle}")));
        }
    }
    found
}

impl Imports {
    fn new(files: &[&Source], root: &str) -> Self {
        let names: Vec<Option<String>> = files.iter().map(|file| module(file, root)).collect();
        let modules: BTreeSet<&str> = names.iter().flatten().map(String::as_str).collect();
        let mut origins = BTreeMap::new();
        for (file, _) in files.iter().zip(&names).filter(|(_, name)| name.is_none()) {
            origins.extend(re_exports(&file.code));
        }
        let mut imports = Self::default();
        for (index, (file, name)) in files.iter().zip(&names).enumerate() {
            let Some(name) = name else { continue };
            for (line, imported) in crate_paths(file) {
                let origin = origins.get(&imported).unwrap_or(&imported);
                if modules.contains(origin.as_str()) && origin != name {
                    let of = imports.of.entry(name.clone()).or_default();
                    of.entry(origin.clone()).or_insert(Place { file: index, line });
                }
            }
        }
        imports
    }

    /// Returns the chain of imports from one module to another, both included.
    fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut seen = BTreeSet::from([from.to_owned()]);
        let mut open = vec![vec![from.to_owned()]];
        while let Some(path) = open.pop() {
            for next in self.of.get(&path[path.len() - 1]).into_iter().flat_map(BTreeMap::keys) {
                let longer = [path.as_slice(), std::slice::from_ref(next)].concat();
                if next == to {
                    return Some(longer);
                }
                if seen.insert(next.clone()) {
                    open.push(longer);
                }
            }
        }
        None
    }
}

/// Returns the top-level module that a file belongs to, or `None` for the root of the crate.
fn module(file: &Source, root: &str) -> Option<String> {
    let path = file.path.strip_prefix(root).ok()?;
    let first = path.components().next()?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&name)).then(|| name.to_owned())
}

/// Returns the names that the root re-exports, each with its module.
fn re_exports(code: &str) -> BTreeMap<String, String> {
    let mut origins = BTreeMap::new();
    for statement in code.split(';') {
        let Some((_, path)) = statement.split_once("pub use ") else {
            continue;
        };
        let Some((module, names)) = path.split_once("::") else {
            continue;
        };
        for name in words(names) {
            origins.insert(name.to_owned(), module.trim().to_owned());
        }
    }
    origins
}

/// Returns the first name of every path that starts with `crate::`, with its line.
fn crate_paths(file: &Source) -> Vec<(usize, String)> {
    const ROOT: &str = "crate::";
    let mut found = Vec::new();
    for (at, _) in file.code.match_indices(ROOT) {
        let line = 1 + file.code[..at].matches('\n').count();
        if file.is_test_code(line) {
            break;
        }
        let path = &file.code[at + ROOT.len()..];
        match path.strip_prefix('{') {
            Some(list) => found.extend(heads(list).into_iter().map(|name| (line, name))),
            None => found.extend(words(path).next().map(|name| (line, name.to_owned()))),
        }
    }
    found
}

/// Returns the first name of each item in a list of imports, up to its closing brace.
fn heads(list: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut item) = (0_usize, String::new());
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => break,
            ',' if depth == 0 => heads.extend(words(&std::mem::take(&mut item)).next().map(str::to_owned)),
            _ => item.push(c),
        }
    }
    heads.extend(words(&item).next().map(str::to_owned));
    heads
}

/// Splits a text into names.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages about a small crate with these files and modules `a`, `b` and `c`.
    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(format!("crates/x/src/{path}"), *text)).collect();
        let files: Vec<&Source> = files.iter().collect();
        check_group(&files, "crates/x/src", &["a", "b", "c"]).into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn circles_are_found_through_other_modules_and_re_exports() {
        let root = ("lib.rs", "mod a;\nmod b;\nmod z;\npub use a::{First, Second};");
        let direct = [root, ("a.rs", "use crate::b::B;"), ("b/mod.rs", "fn f(x: crate::Second) {}")];
        assert_eq!(messages(&direct), ["modules import each other: a -> b -> a"]);
        let indirect = [
            root,
            ("a/deep.rs", "use crate::{\n    error::E, z::{X, Y},\n};"),
            ("z.rs", "use crate::b;"),
            ("b.rs", "use crate::a::First;"),
        ];
        assert_eq!(messages(&indirect), ["modules import each other: a -> z -> b -> a"]);
    }

    #[test]
    fn imports_in_one_direction_and_in_tests_are_allowed() {
        let files = [
            ("lib.rs", "mod a;\nmod b;"),
            ("a.rs", "use crate::b::B;\n// crate::c is a comment"),
            ("b.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}"),
            ("c.rs", "use crate::{a, b};"),
        ];
        assert!(messages(&files).is_empty());
    }
}
