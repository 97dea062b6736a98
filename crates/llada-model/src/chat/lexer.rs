//! A lexer for the tags of a Jinja template.
//!
//! It follows Jinja2's lexer as far as is needed to distinguish tags from text, comments and raw blocks, and to find
//! names, strings and operators in them. It stops at malformed input, which the template engine reports.

use std::ops::Range;

/// The content of `{{ }}` or `{% %}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// True for a statement, `{% %}`, whose first token is its name.
    pub(super) is_statement: bool,
    pub(super) tokens: Vec<Token>,
}

/// A token of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// The range of its bytes in the source.
    pub(super) place: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    /// A string literal, including its quotes.
    Text,
    Operator,
}

/// Returns the tags of `source`, without those in raw blocks.
pub(super) fn tags(source: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(start) = find(source, "{", at) {
        at = start + 2;
        let (close, is_statement) = match source.as_bytes().get(start + 1) {
            Some(b'{') => ("}}", false),
            Some(b'%') => ("%}", true),
            Some(b'#') => match find(source, "#}", at) {
                Some(end) => {
                    at = end + 2;
                    continue;
                }
                None => break,
            },
            _ => {
                at = start + 1;
                continue;
            }
        };
        let Some((tokens, end)) = tokens(source, at, close) else { break };
        at = end;
        if is_statement && is_alone(source, &tokens, "raw") {
            match raw_end(source, at) {
                Some(end) => at = end,
                None => break,
            }
        } else {
            tags.push(Tag { is_statement, tokens });
        }
    }
    tags
}

/// Returns the end of the first `{% endraw %}` after `at`.
fn raw_end(source: &str, mut at: usize) -> Option<usize> {
    loop {
        at = find(source, "{%", at)? + 2;
        if let Some((tokens, end)) = tokens(source, at, "%}")
            && is_alone(source, &tokens, "endraw")
        {
            return Some(end);
        }
    }
}

fn is_alone(source: &str, tokens: &[Token], name: &str) -> bool {
    matches!(tokens, [token] if &source[token.place.clone()] == name)
}

fn find(source: &str, what: &str, at: usize) -> Option<usize> {
    source.get(at..)?.find(what).map(|offset| at + offset)
}

/// Returns the tokens between `at` and `close`, and the end of `close`. Signs for whitespace control are not tokens.
fn tokens(source: &str, mut at: usize, close: &str) -> Option<(Vec<Token>, usize)> {
    if source[at..].starts_with(['-', '+']) {
        at += 1;
    }
    let mut tokens: Vec<Token> = Vec::new();
    let mut open_brackets = 0_usize;
    loop {
        let rest = source.get(at..)?;
        let first = rest.chars().next()?;
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        if open_brackets == 0 && rest.strip_prefix(['-', '+']).unwrap_or(rest).starts_with(close) {
            let sign = usize::from(rest.starts_with(['-', '+']));
            return Some((tokens, at + sign + close.len()));
        }
        let (kind, length) = match first {
            '"' | '\'' => (Kind::Text, text_length(rest, first)?),
            '0'..='9' => (Kind::Number, number_length(rest, ends_with_dot(source, &tokens))),
            _ if first == '_' || first.is_alphabetic() => (Kind::Name, name_length(rest)),
            _ => (Kind::Operator, operator_length(rest)),
        };
        match first {
            '(' | '[' | '{' => open_brackets += 1,
            ')' | ']' | '}' => open_brackets = open_brackets.saturating_sub(1),
            _ => {}
        }
        tokens.push(Token { kind, place: at..at + length });
        at += length;
    }
}

fn ends_with_dot(source: &str, tokens: &[Token]) -> bool {
    tokens.last().is_some_and(|token| &source[token.place.clone()] == ".")
}

fn text_length(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        if !escaped && character == quote {
            return Some(offset + 1);
        }
        escaped = !escaped && character == '\\';
    }
    None
}

/// Returns the length of a number. After a dot it is an index, which has neither a fraction nor an exponent.
fn number_length(rest: &str, is_index: bool) -> usize {
    let bytes = rest.as_bytes();
    let digits = |from: usize| {
        bytes[from..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count() + from
    };
    let mut length = digits(0);
    if is_index || rest.starts_with("0x") || rest.starts_with("0X") {
        return length;
    }
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit) {
        length = digits(length + 1);
    }
    let is_exponent = matches!(bytes[length - 1], b'e' | b'E') && matches!(bytes.get(length), Some(b'+' | b'-'));
    if is_exponent { digits(length + 1) } else { length }
}

fn name_length(rest: &str) -> usize {
    rest.find(|character: char| character != '_' && !character.is_alphanumeric()).unwrap_or(rest.len())
}

fn operator_length(rest: &str) -> usize {
    let is_double = ["**", "//", "==", "!=", ">=", "<="].iter().any(|operator| rest.starts_with(operator));
    if is_double { 2 } else { rest.chars().next().map_or(0, char::len_utf8) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<Vec<&str>> {
        tags(source).iter().map(|tag| tag.tokens.iter().map(|token| &source[token.place.clone()]).collect()).collect()
    }

    #[test]
    fn tags_are_told_from_text_comments_and_raw_blocks() {
        assert_eq!(
            words("a { b }} {{x}}{# {{ y }} #}{% raw %}{{ z }}{% if %}{%- endraw +%}{%- if a -%}"),
            [vec!["x"], vec!["if", "a"]]
        );
        assert_eq!(words("{{ '%}' ~ \"}}\" }}{{ {'a': {}} }}{% x == '\\'' %}").len(), 3);
        assert_eq!(words("{{ 1e-7-x.0.1 ** 2 }}"), [vec!["1e-7", "-", "x", ".", "0", ".", "1", "**", "2"]]);
    }

    #[test]
    fn what_is_malformed_ends_the_list() {
        for source in
            ["{{", "{%", "{#", "{% raw %}{{ x }}", "{{ 'a }}", "{{ x ", "{", "{{ é", "{%-", "{% raw %}{% endraw"]
        {
            assert!(tags(source).is_empty(), "{source}");
        }
    }
}
