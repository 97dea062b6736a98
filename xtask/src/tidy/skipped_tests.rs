//! Rule: no test is ignored or expects just any panic, and no code is unfinished.

use super::{Source, Violation};

const FORBIDDEN: [(&str, &str); 4] = [
    ("#[ignore", "a test that does not run proves nothing"),
    ("#[should_panic", "expect the error, not any panic"),
    ("todo!", "what is not written yet is left out"),
    ("unimplemented!", "what is not written yet is left out"),
];

pub(super) fn check(source: &Source) -> Vec<Violation> {
    source
        .code_lines()
        .flat_map(|(line, code)| {
            FORBIDDEN
                .iter()
                .filter(move |(text, _)| code.contains(text))
                .map(move |(text, why)| source.violation(line, "skipped", format!("`{text}`: {why}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_skipping_is_found() {
        for (text, violations) in [
            ("#[ignore]\n#[test]\nfn f() {}", 1),
            ("#[ignore = \"slow\"]", 1),
            ("#[should_panic(expected = \"x\")]", 1),
            ("fn f() { todo!() }", 1),
            ("fn f() { unimplemented!(\"later\") }", 1),
            ("#[test]\nfn f() {}", 0),
            ("// todo!() is not allowed", 0),
        ] {
            assert_eq!(check(&Source::new("a.rs", text)).len(), violations, "{text}");
        }
    }
}
