//! Rule: only binaries print; libraries return values.

use super::source::has_word;
use super::{Source, Violation};

const MACROS: [&str; 5] = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];

/// Programs, and code that only developers run. A build script prints its instructions to cargo.
const PRINTERS: [&str; 6] = ["xtask", "llada-cli", "tests", "examples", "benches", "build.rs"];

pub(super) fn check(source: &Source) -> Vec<Violation> {
    if source.is_under(&PRINTERS) {
        return Vec::new();
    }
    source
        .code_lines()
        .filter_map(|(line, code)| {
            let name = MACROS.into_iter().find(|name| has_word(code, name))?;
            Some(source.violation(line, "printing", format!("`{name}` in a library; only binaries print")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn a_library_that_prints_is_found() {
        for text in ["println!(\"x\")", "    eprint!(\"x\");", "dbg!(x)", "std::println!()"] {
            assert_eq!(violations("crates/llada-core/src/rng.rs", text), 1, "{text}");
        }
        assert_eq!(violations("crates/llada-core/src/rng.rs", "/// println!(\"x\")"), 0);
        assert_eq!(violations("crates/llada-core/src/rng.rs", "my_println!()"), 0);
    }

    #[test]
    fn programs_and_tests_may_print() {
        for path in [
            "crates/llada-cli/src/main.rs",
            "crates/llada-core/tests/it/main.rs",
            "crates/llada-core/examples/noise.rs",
            "crates/llada-model/build.rs",
        ] {
            assert_eq!(violations(path, "println!()"), 0, "{path}");
        }
    }
}
