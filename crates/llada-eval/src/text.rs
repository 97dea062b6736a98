//! Functions that extract answers from text.

/// Returns the text without white space at its ends, as Python's `strip` does, which also removes the four ASCII
/// separators.
pub(crate) fn stripped(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// Returns the text between the last `open` and the `close` after it.
pub(crate) fn last_between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let inner = &text[text.rfind(open)? + open.len()..];
    inner.find(close).map(|end| &inner[..end])
}

/// Returns the first fenced block of code, without the line that names its language, or the whole text if there is none.
pub(crate) fn code(text: &str) -> &str {
    const FENCE: &str = "```";
    let Some((_, after)) = text.split_once(FENCE) else {
        return text;
    };
    let block = after.split_once('\n').map_or(after, |(_, block)| block);
    block.split(FENCE).next().unwrap_or(block)
}

/// Returns the text without the parts from an `open` to the next `close` on the same line.
pub(crate) fn without(text: &str, open: char, close: char) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let end = rest[start..].find([close, '\n']).map(|end| start + end);
        let Some(end) = end.filter(|&end| rest[end..].starts_with(close)) else {
            kept.push_str(&rest[..start + open.len_utf8()]);
            rest = &rest[start + open.len_utf8()..];
            continue;
        };
        kept.push_str(&rest[..start]);
        rest = &rest[end + close.len_utf8()..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pair_counts() {
        assert_eq!(last_between("<a>1</a> <a>2</a>", "<a>", "</a>"), Some("2"));
        assert_eq!(last_between("<a>1</a> <a>2", "<a>", "</a>"), None);
    }

    #[test]
    fn code_is_the_first_block() {
        assert_eq!(code("Here:\n```python\nx = 1\n```\nor\n```\ny\n```"), "x = 1\n");
        assert_eq!(code("x = 1"), "x = 1");
        assert_eq!(code("```\nx = 1"), "x = 1");
    }

    #[test]
    fn brackets_close_on_their_line() {
        for (text, expected) in
            [("a [b] c [d]e", "a  c e"), ("[a [b] c]", " c]"), ("a [b\nc] [d]", "a [b\nc] "), ("a [b", "a [b")]
        {
            assert_eq!(without(text, '[', ']'), expected, "{text}");
        }
    }
}
