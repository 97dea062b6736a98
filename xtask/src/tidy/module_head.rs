//! Rule: every file starts with a `//!` comment that says what it is about.

use super::{Source, Violation};

pub(super) fn check(source: &Source) -> Vec<Violation> {
    if source.text.starts_with("//!") {
        return Vec::new();
    }
    vec![source.violation(1, "module-head", "the file does not begin with a `//!` comment")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_head() {
        for (text, violations) in
            [("//! Rotary embeddings.\n\nfn f() {}\n", 0), ("fn f() {}\n", 1), ("// Rotary embeddings.\n", 1), ("", 1)]
        {
            assert_eq!(check(&Source::new("a.rs", text)).len(), violations, "{text}");
        }
    }
}
