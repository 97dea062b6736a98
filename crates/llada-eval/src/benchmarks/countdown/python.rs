//! An evaluator of Python expressions that consist of digits, `+ - * /`, dots, parentheses and white space: sums, products,
//! `//`, `**`, signs, integers and floats. An expression that Python refuses or that raises an error has no value.

use num_bigint::BigInt;

use super::number::{Number, Operator};

/// The depth to which Python allows parentheses to nest.
const DEEPEST: usize = 200;

/// Returns the value of an expression.
pub(super) fn evaluate(text: &str) -> Option<Number> {
    let tokens = tokens(text)?;
    let mut parser = Parser { rest: &tokens, depth: 0 };
    let value = parser.sum()?;
    parser.rest.is_empty().then_some(value)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(Number),
    Operator(Operator),
    Open,
    Close,
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let (mut rest, mut depth) = (text.trim_matches([' ', '\t', '\n', '\r', '\x0c']), 0_usize);
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            ' ' | '\t' | '\x0c' => (None, 1),
            // Line breaks are allowed only within parentheses.
            '\n' | '\r' if depth > 0 => (None, 1),
            '0'..='9' | '.' => number(rest)?,
            '*' if rest.starts_with("**") => (Some(Token::Operator(Operator::Power)), 2),
            '/' if rest.starts_with("//") => (Some(Token::Operator(Operator::FloorDivide)), 2),
            '*' => (Some(Token::Operator(Operator::Multiply)), 1),
            '/' => (Some(Token::Operator(Operator::Divide)), 1),
            '+' => (Some(Token::Operator(Operator::Add)), 1),
            '-' => (Some(Token::Operator(Operator::Subtract)), 1),
            '(' => (Some(Token::Open), 1),
            ')' => (Some(Token::Close), 1),
            _ => return None,
        };
        match token {
            Some(Token::Open) => depth += 1,
            Some(Token::Close) => depth = depth.checked_sub(1)?,
            _ => {}
        }
        tokens.extend(token);
        rest = &rest[length..];
    }
    Some(tokens)
}

/// Returns the number at the start of `text` and its length. An integer other than zero must not have leading zeros.
fn number(text: &str) -> Option<(Option<Token>, usize)> {
    let whole = digits(text);
    if text[whole..].starts_with('.') {
        let length = whole + 1 + digits(&text[whole + 1..]);
        let value = (length > 1).then(|| text[..length].parse().ok())??;
        return Some((Some(Token::Number(Number::Float(value))), length));
    }
    let written = &text[..whole];
    let value: BigInt = written.parse().ok()?;
    let padded = written.starts_with('0') && written.bytes().any(|digit| digit != b'0');
    (!padded).then_some((Some(Token::Number(Number::Integer(value))), whole))
}

/// Returns the number of digits at the start of `text`.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

struct Parser<'a> {
    rest: &'a [Token],
    depth: usize,
}

impl Parser<'_> {
    fn sum(&mut self) -> Option<Number> {
        let mut value = self.product()?;
        while let Some(operator) = self.take(&[Operator::Add, Operator::Subtract]) {
            value = value.apply(operator, self.product()?)?;
        }
        Some(value)
    }

    fn product(&mut self) -> Option<Number> {
        let mut value = self.signed()?;
        while let Some(operator) = self.take(&[Operator::Multiply, Operator::Divide, Operator::FloorDivide]) {
            value = value.apply(operator, self.signed()?)?;
        }
        Some(value)
    }

    /// Parses signs and a power. A power binds more tightly than the sign before it, but less than the sign of its exponent.
    fn signed(&mut self) -> Option<Number> {
        let mut is_negative = false;
        while let Some(sign) = self.take(&[Operator::Add, Operator::Subtract]) {
            is_negative ^= sign == Operator::Subtract;
        }
        let value = self.power()?;
        Some(if is_negative { value.negated() } else { value })
    }

    fn power(&mut self) -> Option<Number> {
        let base = self.atom()?;
        match self.take(&[Operator::Power]) {
            Some(operator) => base.apply(operator, self.nested(Self::signed)?),
            None => Some(base),
        }
    }

    fn atom(&mut self) -> Option<Number> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        match first {
            Token::Number(number) => Some(number.clone()),
            Token::Open => {
                let value = self.nested(Self::sum)?;
                let (close, rest) = self.rest.split_first()?;
                self.rest = rest;
                (*close == Token::Close).then_some(value)
            }
            Token::Operator(_) | Token::Close => None,
        }
    }

    /// Parses with `part` one level deeper, unless that is too deep.
    fn nested(&mut self, part: fn(&mut Self) -> Option<Number>) -> Option<Number> {
        self.depth += 1;
        let value = (self.depth <= DEEPEST).then(|| part(self))?;
        self.depth -= 1;
        value
    }

    fn take(&mut self, any: &[Operator]) -> Option<Operator> {
        let (Token::Operator(first), rest) = self.rest.split_first()? else {
            return None;
        };
        any.contains(first).then(|| {
            self.rest = rest;
            *first
        })
    }
}
