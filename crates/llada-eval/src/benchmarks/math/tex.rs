//! Functions that split LaTeX. Braces are matched, so the argument of a command is always found whole.

/// Returns the content of the group in braces at the start of `text`, and the text after it. Returns `None` if `text` does
/// not start with a brace or the brace is not closed. A brace after a backslash is an ordinary character.
pub(super) fn group(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{')?;
    let (mut depth, mut escaped) = (1, false);
    for (index, c) in inner.char_indices() {
        match c {
            '{' if !escaped => depth += 1,
            '}' if !escaped => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&inner[..index], &inner[index + 1..]));
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// Returns the argument at the start of `text`, after white space, and the text after it. An argument is the content of a
/// group, a command, or a character.
pub(super) fn argument(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    match text.chars().next()? {
        '{' => group(text),
        '}' | '$' => None,
        '\\' => Some(text.split_at(command_length(text))),
        first => Some(text.split_at(first.len_utf8())),
    }
}

/// Returns the length in bytes of the command at the start of `text`: a backslash and letters, or a backslash and one other
/// character.
fn command_length(text: &str) -> usize {
    let name = &text[1..];
    match name.find(|c: char| !c.is_ascii_alphabetic()) {
        Some(0) => 1 + name.chars().next().map_or(0, char::len_utf8),
        Some(letters) => 1 + letters,
        None => text.len(),
    }
}

/// Splits `text` at the first of the `commands`: returns the text before it, the command, and the text after its name.
pub(super) fn split_command<'a, 'c>(text: &'a str, commands: &[&'c str]) -> Option<(&'a str, &'c str, &'a str)> {
    let mut start = 0;
    while let Some(offset) = text[start..].find('\\') {
        let at = start + offset;
        let length = command_length(&text[at..]);
        if let Some(command) = commands.iter().find(|&&command| command == &text[at..at + length]) {
            return Some((&text[..at], command, &text[at + length..]));
        }
        start = at + length;
    }
    None
}

/// Replaces `\command{x}` with `x` for each of the `commands`, including nested ones.
pub(super) fn unwrapped(text: &str, commands: &[&str]) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.to_owned();
    while let Some((before, command, after)) = split_command(&rest, commands) {
        kept.push_str(before);
        rest = match group(after) {
            Some((inner, after)) => [inner, after].concat(),
            None => {
                kept.push_str(command);
                after.to_owned()
            }
        };
    }
    kept + &rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_matched() {
        assert_eq!(group(r"{a{b}c}d"), Some(("a{b}c", "d")));
        assert_eq!(group(r"{\{1\}}2"), Some((r"\{1\}", "2")));
        assert_eq!((group("{a"), group("a")), (None, None));
        assert_eq!(argument(r" \pi2"), Some((r"\pi", "2")));
        assert_eq!(argument("12"), Some(("1", "2")));
        assert_eq!(argument("}"), None);
    }

    #[test]
    fn commands_are_whole_words() {
        assert_eq!(unwrapped(r"\text{a_{1}b}c", &[r"\text"]), "a_{1}bc");
        assert_eq!(unwrapped(r"\textbf{\text{5}}", &[r"\text", r"\textbf"]), "5");
        assert_eq!(unwrapped(r"\texttt{5}\text6", &[r"\text"]), r"\texttt{5}\text6");
        assert_eq!(unwrapped(r"\\text{5}", &[r"\text"]), r"\\text{5}");
    }
}
