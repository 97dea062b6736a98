//! Rule: a file has at most 400 lines, or a line that says why it has more.

use super::{Source, Violation};

const LINES: usize = 400;
const EXCUSE: &str = "// tidy: long because ";

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let lines = source.text.lines().count();
    let excused =
        source.text.lines().any(|line| line.strip_prefix(EXCUSE).is_some_and(|reason| !reason.trim().is_empty()));
    if lines <= LINES || excused {
        return Vec::new();
    }
    let message = format!("{lines} lines, over {LINES}; split the file, or add a line `{EXCUSE}<reason>`");
    vec![source.violation(LINES + 1, "length", message)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_need_a_reason() {
        let violations = |lines: usize, head: &str| {
            let text = format!("{head}\n{}", "fn f() {}\n".repeat(lines - 1));
            check(&Source::new("a.rs", text)).len()
        };
        assert_eq!(violations(400, "//! Short."), 0);
        assert_eq!(violations(401, "//! Long."), 1);
        assert_eq!(violations(401, "// tidy: long because one table is the whole file"), 0);
        assert_eq!(violations(401, "// tidy: long because "), 1);
    }
}
