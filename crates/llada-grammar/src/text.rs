//! Strings as JSON writes them. Every character is written in one way: as itself, or, where JSON demands an escape, by
//! the short escape if there is one and by `\u00xx` otherwise. This is how `serde_json` and Python's `json` write it.

use crate::bytes::Language;

/// The characters that a JSON string cannot have as they are.
const ESCAPED: [(char, char); 3] = [('\0', '\u{1f}'), ('"', '"'), ('\\', '\\')];

/// Returns a string as it is written between quotes.
pub(crate) fn escape(text: &str) -> String {
    text.chars().map(escape_character).collect()
}

/// Returns a string with its quotes.
pub(crate) fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text))
}

fn escape_character(character: char) -> String {
    match character {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\0'..='\u{1f}' => format!("\\u{:04x}", character as u32),
        _ => character.to_string(),
    }
}

/// Returns the characters in these ranges as they are written between quotes.
pub(crate) fn characters(ranges: &[(char, char)]) -> Language {
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    for &(first, last) in ranges {
        let mut open = first;
        for (low, high) in ESCAPED {
            let escaped = low.max(first)..=high.min(last);
            if escaped.is_empty() {
                continue;
            }
            if open < low {
                plain.push((open, char::from(low as u8 - 1)));
            }
            open = char::from(high as u8 + 1);
            parts.extend(escaped.map(|character| Language::text(escape_character(character))));
        }
        if open <= last {
            plain.push((open, last));
        }
    }
    parts.push(Language::Characters(plain));
    Language::Union(parts)
}

/// Returns any character as it is written between quotes.
pub(crate) fn any_character() -> Language {
    characters(&[('\0', char::MAX)])
}

/// Returns a language with quotes around it.
pub(crate) fn quoted(content: Language) -> Language {
    Language::Concat(vec![Language::text("\""), content, Language::text("\"")])
}

/// Returns any string.
pub(crate) fn any_string() -> Language {
    quoted(Language::repeat(any_character(), 0, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_written_as_serde_json_does() {
        let all: String = ('\0'..='\u{300}').chain(['\u{1f600}', char::MAX]).collect();
        assert_eq!(quote(&all), serde_json::to_string(&all).unwrap());
    }
}
