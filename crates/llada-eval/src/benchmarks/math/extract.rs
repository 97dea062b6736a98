//! The extraction of an answer from Minerva's closing sentence or from a box.

use super::tex::{argument, group};
use crate::text::stripped;

pub(super) const OPENING: &str = "Final Answer: The final answer is";
pub(super) const CLOSING: &str = "I hope it is correct.";

/// Returns the answer in the first closing sentence that lies on one line. As in the harness, the character before "I hope"
/// is not part of the answer, and the end of the text counts as the end of the sentence.
pub(super) fn closing_sentence(text: &str) -> Option<String> {
    let closed = [text, CLOSING].concat();
    closed.split('\n').find_map(answer_in_line)
}

fn answer_in_line(line: &str) -> Option<String> {
    let hope = format!(" {}", CLOSING.trim_end_matches('.'));
    let (_, rest) = line.split_once(OPENING)?;
    for (end, _) in rest.match_indices(&hope) {
        // There must be a character before it and one after it.
        if end > 0 && end + hope.len() < rest.len() {
            let last = rest[..end].chars().next_back().map_or(0, char::len_utf8);
            return Some(stripped(&rest[..end - last]).to_owned());
        }
    }
    None
}

/// Returns the answer in the last sentence that states a final answer, whatever follows it.
pub(super) fn last_sentence(text: &str) -> Option<&str> {
    const TELLS: &str = "final answer is";
    // Lower-casing ASCII does not change the number of bytes.
    let after = &text[text.to_ascii_lowercase().rfind(TELLS)? + TELLS.len()..];
    let line = after.trim_start().lines().next()?;
    let answer = line.split("I hope").next().unwrap_or(line).trim();
    let answer = answer.strip_suffix('.').unwrap_or(answer).trim();
    (!answer.is_empty()).then_some(answer)
}

/// Returns the content of the last `\boxed` or, if there is none, of the last `\fbox`.
pub(super) fn boxed(text: &str) -> Option<&str> {
    let command = ["\\boxed", "\\fbox"].into_iter().find_map(|command| Some(text.rfind(command)? + command.len()))?;
    let rest = &text[command..];
    let inside = rest.trim_start();
    if inside.starts_with('{') {
        return group(inside).map(|(inner, _)| inner);
    }
    if let Some(rest) = rest.strip_prefix(' ') {
        // In `\boxed 5$` the content extends to the end of the formula.
        return rest.split('$').next();
    }
    argument(rest).map(|(argument, _)| argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_nest() {
        for (text, expected) in [
            (r"so \boxed{1}, no, $\boxed{\frac{1}{2}}$.", Some(r"\frac{1}{2}")),
            (r"\fbox{3}", Some("3")),
            (r"$\boxed 5$ apples", Some("5")),
            (r"$\boxed {5}$ apples", Some("5")),
            (r"\boxed5", Some("5")),
            (r"\boxed{\{1,2\}}", Some(r"\{1,2\}")),
            (r"\boxed{1", None),
            (r"\boxed", None),
            ("5", None),
        ] {
            assert_eq!(boxed(text), expected, "{text}");
        }
    }

    #[test]
    fn closing_sentences_are_whole() {
        for (text, expected) in [
            ("Final Answer: The final answer is $4$. I hope it is correct.\nProblem", Some("$4$")),
            ("Final Answer: The final answer is $4$! I hope it is correct!", Some("$4$")),
            ("Final Answer: The final answer is $4$. ", Some("$4$")),
            ("Final Answer: The final answer is $4.5$. I hope", None),
            ("Final Answer: The final answer is 4.", None),
            ("Final Answer: The final answer is\n4. I hope it is correct.", None),
            ("The final answer is 4. I hope it is correct.", None),
        ] {
            assert_eq!(closing_sentence(text).as_deref(), expected, "{text}");
        }
        assert_eq!(last_sentence("Final Answer: The final answer is $4.5$. I hope"), Some("$4.5$"));
        assert_eq!(last_sentence("FINAL ANSWER IS\n4."), Some("4"));
        assert_eq!(last_sentence("Final Answer: The final answer is"), None);
    }
}
