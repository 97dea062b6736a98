//! Regular expressions of JSON Schema, which are those of ECMAScript, in the syntax of the `regex` crate.
//!
//! The two differ in what `.`, `\d`, `\w` and `\s` stand for, and in what is special between brackets.

/// What `\s` stands for: the white space and the line ends of ECMA-262, section 12.
const SPACE: &str = r"\t\n\x0b\x0c\r\x{2028}\x{2029}\x{feff}\p{Zs}";
const WORD: &str = "A-Za-z0-9_";
const DIGIT: &str = "0-9";

/// Escapes that mean the same in both.
const SAME: &str = "tnvfrpPu";

/// Returns an expression with the same meaning.
///
/// # Errors
/// If it has constructs that the other syntax lacks or reads otherwise.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translated = String::new();
    let mut is_bracketed = false;
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let escaped = characters.next().ok_or("it ends in a backslash")?;
                if escaped == 'x' && characters.peek() == Some(&'{') {
                    return Err("\\x{ is not supported".to_owned());
                }
                translated += &escape(escaped)?;
            }
            '[' if is_bracketed => translated += r"\[",
            '[' => {
                is_bracketed = true;
                translated.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    translated.push('^');
                }
                if characters.peek() == Some(&']') {
                    return Err("a class is empty".to_owned());
                }
            }
            ']' if is_bracketed => {
                is_bracketed = false;
                translated.push(']');
            }
            '-' if is_bracketed && characters.peek() == Some(&'-') => {
                return Err("two hyphens follow each other in a class".to_owned());
            }
            '&' | '~' if is_bracketed => translated.extend(['\\', character]),
            '{' if !is_bracketed && characters.peek() == Some(&',') => {
                return Err("a repetition has no least count".to_owned());
            }
            '.' if !is_bracketed => translated += r"[^\n\r\x{2028}\x{2029}]",
            '(' if !is_bracketed && characters.peek() == Some(&'?') => {
                let mut rest = characters.clone().skip(1);
                if !matches!((rest.next(), rest.next()), (Some(':'), _) | (Some('<'), Some('a'..='z' | 'A'..='Z' | '_')))
                {
                    return Err("flags and looking ahead or behind are not supported".to_owned());
                }
                translated.push('(');
            }
            _ => translated.push(character),
        }
    }
    Ok(translated)
}

/// Translates what follows a backslash; classes may be nested in brackets.
fn escape(escaped: char) -> Result<String, String> {
    Ok(match escaped {
        'd' => format!("[{DIGIT}]"),
        'D' => format!("[^{DIGIT}]"),
        'w' => format!("[{WORD}]"),
        'W' => format!("[^{WORD}]"),
        's' => format!("[{SPACE}]"),
        'S' => format!("[^{SPACE}]"),
        '0' => r"\x00".to_owned(),
        'x' => r"\x".to_owned(),
        _ if SAME.contains(escaped) || escaped.is_ascii_punctuation() => format!("\\{escaped}"),
        _ => return Err(format!("\\{escaped} is not supported")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_brackets_are_those_of_ecmascript() {
        for (pattern, expected) in [
            (r"^\d+[\w.]$", "^[0-9]+[[A-Za-z0-9_].]$"),
            ("a.b", r"a[^\n\r\x{2028}\x{2029}]b"),
            (r"[[&&a~]", r"[\[\&\&a\~]"),
            (r"(?:a|b)\/(?<name>c)", r"(?:a|b)\/(?<name>c)"),
            (r"\u0041\x41\0", r"\u0041\x41\x00"),
        ] {
            let translated = translate(pattern).unwrap();
            assert_eq!(translated, expected);
            assert!(regex::Regex::new(&translated).is_ok(), "{translated}");
        }
        for pattern in
            ["(?=a)", "(?<!a)", "(?i)a", r"\bword", r"\z", r"(a)\1", "[]", "[^]", "[+--]", "a{,3}", r"\x{41}", "\\"]
        {
            assert!(translate(pattern).is_err(), "{pattern}");
        }
    }
}
