//! Translation of templates from Jinja2, as transformers configures it, to minijinja: the tag `generation`, Python's
//! operator
//! `%`, line ends, and escapes in strings.
//!
//! Single tokens of the source are replaced in place, and everything else is left as it is.

use super::lexer::{Kind, Tag, Token, tags};

/// The name of the function that replaces the operator `%`, because minijinja's operator is defined for numbers only.
pub(super) const MODULO: &str = "__mod__";

/// The words at which an operand ends.
const KEYWORDS: [&str; 6] = ["and", "or", "not", "if", "else", "in"];

/// A replacement of `replaced` bytes at `at` by a text. An insertion replaces none.
struct Edit {
    at: usize,
    replaced: usize,
    text: String,
}

/// Translates a template to minijinja.
pub(super) fn translate(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut edits = Vec::new();
    for tag in tags(&source) {
        Expression { source: &source, tag: &tag }.edit(&mut edits);
    }
    // At the same place, insertions come before replacements.
    edits.sort_by_key(|edit| (edit.at, edit.replaced));
    let mut translated = String::with_capacity(source.len());
    let mut copied = 0;
    for edit in edits {
        translated.push_str(&source[copied..edit.at]);
        translated.push_str(&edit.text);
        copied = edit.at + edit.replaced;
    }
    translated + &source[copied..]
}

struct Expression<'a> {
    source: &'a str,
    tag: &'a Tag,
}

impl Expression<'_> {
    fn edit(&self, edits: &mut Vec<Edit>) {
        let replace = |token: &Token, text: &str| Edit {
            at: token.place.start,
            replaced: token.place.len(),
            text: text.to_owned(),
        };
        // transformers renders the content of `generation` unchanged, in a scope of its own, as `with` does.
        match (self.tag.is_statement, self.word(0)) {
            (true, "generation") => edits.push(replace(&self.tag.tokens[0], "with")),
            (true, "endgeneration") => edits.push(replace(&self.tag.tokens[0], "endwith")),
            _ => {}
        }
        for (index, token) in self.tag.tokens.iter().enumerate() {
            if token.kind == Kind::Text
                && let Some(text) = escapes(&self.source[token.place.clone()])
            {
                edits.push(replace(token, &text));
            }
            let first = self.chain_start(index);
            if self.word(index) == "%"
                && first < index
                && let Some(last) = self.operand_end(index + 1)
            {
                let (start, end) = (self.tag.tokens[first].place.start, self.tag.tokens[last].place.end);
                edits.push(Edit { at: start, replaced: 0, text: format!("{MODULO}(") });
                edits.push(replace(token, ","));
                edits.push(Edit { at: end, replaced: 0, text: ")".to_owned() });
            }
        }
    }

    /// Returns the text of the token at `index`, or an empty text after the last token.
    fn word(&self, index: usize) -> &str {
        self.tag.tokens.get(index).map_or("", |token| &self.source[token.place.clone()])
    }

    fn is(&self, index: usize, kind: Kind) -> bool {
        self.tag.tokens.get(index).is_some_and(|token| token.kind == kind)
    }

    fn is_keyword(&self, index: usize) -> bool {
        self.is(index, Kind::Name) && KEYWORDS.contains(&self.word(index))
    }

    /// Returns true if an operand can begin after the token at `index`. A sign there is unary, not a subtraction.
    fn precedes_operand(&self, index: usize) -> bool {
        (self.tag.is_statement && index == 0)
            || self.is_keyword(index)
            || (self.is(index, Kind::Operator) && !matches!(self.word(index), ")" | "]" | "}"))
    }

    /// Returns the first token of the left operand of the operator at `operator`. Products, quotients and remainders
    /// are evaluated from left to right, so the operand includes all of them.
    fn chain_start(&self, operator: usize) -> usize {
        let mut open_brackets = 0_usize;
        let mut start = operator;
        while start > usize::from(self.tag.is_statement) {
            let index = start - 1;
            match self.word(index) {
                ")" | "]" | "}" if self.is(index, Kind::Operator) => open_brackets += 1,
                "(" | "[" | "{" if open_brackets > 0 => open_brackets -= 1,
                _ if open_brackets > 0 => {}
                "(" | "[" | "{" | "," | ":" | "=" | "~" | "==" | "!=" | "<" | ">" | "<=" | ">=" => break,
                "+" | "-" if index > 0 && !self.precedes_operand(index - 1) => break,
                "not" if index > 0 && self.word(index - 1) == "is" => {}
                _ if self.is_keyword(index) => break,
                _ => {}
            }
            start = index;
        }
        start
    }

    /// Returns the last token of the operand that begins at `start`, including attributes, calls, filters, tests and
    /// powers.
    fn operand_end(&self, mut start: usize) -> Option<usize> {
        while matches!(self.word(start), "-" | "+") {
            start += 1;
        }
        let mut end = self.primary_end(start)?;
        loop {
            end = match self.word(end + 1) {
                "." => self.present(end + 2)?,
                "(" | "[" => self.closing(end + 1)?,
                "|" => self.present(end + 2)?,
                "**" => return self.operand_end(end + 2),
                "is" => self.test_end(end + 2)?,
                _ => return Some(end),
            };
        }
    }

    /// Returns the last token of a test whose name, or a `not` before it, is at `start`. If its argument is in
    /// brackets, they are not included.
    fn test_end(&self, start: usize) -> Option<usize> {
        let name = self.present(if self.word(start) == "not" { start + 1 } else { start })?;
        let argument = name + 1;
        let is_operand = match self.word(argument) {
            "[" | "{" => true,
            "is" => false,
            _ => !self.is_keyword(argument) && !self.is(argument, Kind::Operator) && argument < self.tag.tokens.len(),
        };
        if is_operand { self.primary_end(argument) } else { Some(name) }
    }

    fn primary_end(&self, start: usize) -> Option<usize> {
        match self.word(start) {
            "(" | "[" | "{" => self.closing(start),
            _ if self.is(start, Kind::Text) => (start..).take_while(|&index| self.is(index, Kind::Text)).last(),
            _ if self.is(start, Kind::Operator) || self.is_keyword(start) => None,
            _ => self.present(start),
        }
    }

    fn present(&self, index: usize) -> Option<usize> {
        (index < self.tag.tokens.len()).then_some(index)
    }

    /// Returns the bracket that closes the one at `open`.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut open_brackets = 0_usize;
        for index in open..self.tag.tokens.len() {
            match self.word(index) {
                "(" | "[" | "{" => open_brackets += 1,
                ")" | "]" | "}" => open_brackets -= 1,
                _ => {}
            }
            if open_brackets == 0 {
                return Some(index);
            }
        }
        None
    }
}

/// Rewrites the escapes of a string literal that minijinja does not know or reads differently. Returns `None` if there
/// are none.
fn escapes(literal: &str) -> Option<String> {
    let mut written = String::new();
    let mut rest = literal;
    let mut changed = false;
    while let Some(at) = rest.find('\\') {
        written.push_str(&rest[..at]);
        let escaped = &rest[at + 1..];
        let letter = escaped.chars().next()?;
        let wide = escaped.get(1..9).filter(|_| letter == 'U').and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let (text, length) = match (letter, wide.and_then(char::from_u32)) {
            (_, Some(character)) => (utf16_escapes(character), 9),
            ('a', _) => ("\\x07".to_owned(), 1),
            ('v', _) => ("\\x0b".to_owned(), 1),
            ('/', _) => ("\\\\/".to_owned(), 1),
            ('\n', _) => (String::new(), 1),
            _ => (format!("\\{letter}"), letter.len_utf8()),
        };
        changed |= text != rest[at..at + 1 + length];
        written.push_str(&text);
        rest = &escaped[length..];
    }
    changed.then(|| written + rest)
}

fn utf16_escapes(character: char) -> String {
    character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modulo_takes_the_operands_that_python_gives_it() {
        for (source, translated) in [
            ("{{ a % b }}", "{{ __mod__(a , b) }}"),
            ("{{ a % b % c }}", "{{ __mod__(__mod__(a , b) , c) }}"),
            ("{{ 1 - 2 * a % b * c }}", "{{ 1 - __mod__(2 * a , b) * c }}"),
            ("{{ -a.b[0](1) % -c.d | f(2) ~ e }}", "{{ __mod__(-a.b[0](1) , -c.d | f(2)) ~ e }}"),
            ("{{ a ** b % c ** d + e }}", "{{ __mod__(a ** b , c ** d) + e }}"),
            ("{{ ('%s' % x) % (y % 2, z) }}", "{{ __mod__((__mod__('%s' , x)) , (__mod__(y , 2), z)) }}"),
            ("{% if x and a % b == 1 %}", "{% if x and __mod__(a , b) == 1 %}"),
            ("{% set x = a % b %}{% elif a % b %}", "{% set x = __mod__(a , b) %}{% elif __mod__(a , b) %}"),
            ("{{ f(x, k=a % b if a % 2 else c) }}", "{{ f(x, k=__mod__(a , b) if __mod__(a , 2) else c) }}"),
            ("{{ a % b is odd and c }}", "{{ __mod__(a , b is odd) and c }}"),
            ("{{ a is not none % 2 }}{{ not a % 2 }}", "{{ __mod__(a is not none , 2) }}{{ not __mod__(a , 2) }}"),
            ("{{ '%s' '%s' % 'a' 'b' }}{# a % b #}", "{{ __mod__('%s' '%s' , 'a' 'b') }}{# a % b #}"),
            ("{{ a % }}{{ % b }}", "{{ a % }}{{ % b }}"),
        ] {
            assert_eq!(translate(source), translated);
        }
    }

    #[test]
    fn the_tag_is_a_scope_and_line_ends_are_one() {
        let tag = "a\r\n{%- generation -%}\rb{%+endgeneration%}{{ generation }}";
        assert_eq!(translate(tag), "a\n{%- with -%}\nb{%+endwith%}{{ generation }}");
    }

    #[test]
    fn escapes_are_pythons() {
        for (python, both) in [
            (r"{{ 'a\a\v\/\n' }}", r"{{ 'a\x07\x0b\\/\n' }}"),
            (r"{{ '\U0001F600\U00000027\U1' }}", r"{{ '\ud83d\ude00\u0027\U1' }}"),
            ("{{ 'a\\\nb\\\\' }}", "{{ 'ab\\\\' }}"),
        ] {
            assert_eq!(translate(python), both);
        }
    }
}
