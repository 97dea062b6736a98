//! Rule: names that were given up do not come back, neither in code nor in comments.
//!
//! The list is `retired-names.txt`: on each line a name and what is used instead. A name belongs there if it has no other
//! meaning in the workspace.

use super::source::has_word;
use super::{Source, Violation};

const LIST: &str = include_str!("retired-names.txt");

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for (line, text) in (1..).zip(source.text.lines()) {
        for (name, instead) in LIST.lines().filter_map(|entry| entry.split_once(' ')) {
            if has_word(text, name) {
                found.push(source.violation(line, "retired-names", format!("`{name}` is now called `{instead}`")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retired_names_are_found_in_code_and_comments() {
        let (name, instead) = LIST.lines().next().unwrap().split_once(' ').unwrap();
        for text in [format!("let {name} = 1;"), format!("/// Like {name}, but faster."), format!("{name}(x)")] {
            let violations = check(&Source::new("a.rs", text));
            assert_eq!(violations.len(), 1);
            assert_eq!(violations[0].message, format!("`{name}` is now called `{instead}`"));
        }
        assert!(check(&Source::new("a.rs", format!("let {name}s = 1;"))).is_empty());
    }

    #[test]
    fn every_line_of_the_list_is_an_entry() {
        let entries: Vec<_> = LIST.lines().map(|line| line.split_once(' ').unwrap()).collect();
        assert!(entries.is_sorted_by_key(|(name, _)| name.to_lowercase()));
        assert!(entries.iter().all(|(name, instead)| !name.is_empty() && !instead.is_empty()));
    }
}
