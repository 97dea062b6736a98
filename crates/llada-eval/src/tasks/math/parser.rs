//! Formulas out of LaTeX: the part of SymPy's grammar that makes numbers. There as here, what follows a whole formula is
//! not read: `1,2` is 1.

use super::{
    formula::{Formula, Operator, binary, call},
    lexer::{Token, tokens},
};

/// The formula that `text` begins with, and whether it is all of `text`.
pub(super) fn parse(text: &str) -> Option<(Formula, bool)> {
    /// Attempts that a formula of a page takes many times fewer of: parts that may be read in two ways can be nested.
    const ATTEMPTS: u32 = 20_000;
    /// Bytes of the longest formula, whose tree a stack holds however it is nested.
    const LONGEST: usize = 1_000;
    let tokens = tokens(Some(text).filter(|text| text.len() <= LONGEST)?)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, attempts: ATTEMPTS };
    let formula = parser.sum()?;
    let at = parser.at;
    let is_relation = tokens.get(at) == Some(&Token::Relation) && {
        parser.at += 1;
        parser.sum().is_some()
    };
    (!is_relation && parser.attempts > 0).then_some((formula, at == tokens.len()))
}

pub(super) struct Parser<'a> {
    pub(super) tokens: &'a [Token],
    pub(super) at: usize,
    depth: u32,
    pub(super) attempts: u32,
}

impl Parser<'_> {
    pub(super) fn sum(&mut self) -> Option<Formula> {
        let mut left = self.product(true)?;
        loop {
            let operator = match self.peek() {
                Some(Token::Sign('+')) => Operator::Add,
                Some(Token::Sign('-')) => Operator::Subtract,
                _ => return Some(left),
            };
            let Some(right) = self.attempt(|parser| parser.after(1)?.product(true)) else {
                return Some(left);
            };
            left = binary(operator, left, right);
        }
    }

    /// Factors; the first may be a function only if it `may_call`.
    pub(super) fn product(&mut self, may_call: bool) -> Option<Formula> {
        let mut left = self.signed(may_call)?;
        loop {
            let operator = match self.peek() {
                Some(Token::Sign('*') | Token::Command("times" | "cdot")) => Operator::Multiply,
                Some(Token::Sign('/' | ':') | Token::Command("div")) => Operator::Divide,
                _ => return Some(left),
            };
            let Some(right) = self.attempt(|parser| parser.after(1)?.signed(may_call)) else {
                return Some(left);
            };
            left = binary(operator, left, right);
        }
    }

    fn signed(&mut self, may_call: bool) -> Option<Formula> {
        match self.peek() {
            Some(Token::Sign('+')) => self.nested(|parser| parser.after(1)?.signed(may_call)),
            Some(Token::Sign('-')) => {
                let inner = self.nested(|parser| parser.after(1)?.signed(may_call))?;
                Some(Formula::Negated(inner.into()))
            }
            _ => self.factors(may_call),
        }
    }

    /// Factors without a sign between them. An `x` between two of them that hold no symbol is the sign.
    fn factors(&mut self, may_call: bool) -> Option<Formula> {
        let mut factors = vec![self.powers(true)?];
        while let Some(factor) = self.attempt(|parser| parser.powers(may_call)) {
            factors.push(factor);
        }
        let is_sign = |index: usize| {
            let constant = |index: usize| factors.get(index).is_some_and(|factor| !factor.has_symbol());
            index > 0 && factors[index] == Formula::Symbol("x".to_owned()) && constant(index - 1) && constant(index + 1)
        };
        let kept = (0..factors.len()).filter(|&index| !is_sign(index)).map(|index| factors[index].clone());
        kept.reduce(|left, right| binary(Operator::Multiply, left, right))
    }

    /// A part with its exponents, then its factorials.
    fn powers(&mut self, may_call: bool) -> Option<Formula> {
        let mut base = self.part(may_call)?;
        while self.peek() == Some(&Token::Sign('^')) {
            let Some(exponent) = self.attempt(|parser| parser.after(1)?.script()) else {
                break;
            };
            base = binary(Operator::Power, base, exponent);
        }
        while self.peek() == Some(&Token::Sign('!')) {
            self.at += 1;
            base = call("factorial", base);
        }
        Some(base)
    }

    fn part(&mut self, may_call: bool) -> Option<Formula> {
        match self.peek()? {
            Token::Sign(open @ ('(' | '[' | '{')) => {
                let close = match open {
                    '(' => ')',
                    '[' => ']',
                    _ => '}',
                };
                self.between(&Token::Sign(close))
            }
            Token::OpenSet => self.between(&Token::CloseSet),
            Token::Sign('|') => Some(call("abs", self.between(&Token::Sign('|'))?)),
            Token::Command("lfloor") => Some(call("floor", self.between(&Token::Command("rfloor"))?)),
            Token::Command("lceil") => Some(call("ceil", self.between(&Token::Command("rceil"))?)),
            Token::Command("sqrt") if may_call => self.root(),
            Token::Function(_) if may_call => self.function(),
            Token::Name(_) if may_call => self.attempt(Self::unknown_function).or_else(|| self.atom()),
            _ => self.atom(),
        }
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn after(&mut self, tokens: usize) -> Option<&mut Self> {
        self.at += tokens;
        Some(self)
    }

    /// What `part` reads, or nothing, and then no token is taken.
    pub(super) fn attempt(&mut self, part: impl FnOnce(&mut Self) -> Option<Formula>) -> Option<Formula> {
        let (at, depth) = (self.at, self.depth);
        self.attempts = self.attempts.checked_sub(1)?;
        let found = if self.attempts > 0 { part(self) } else { None };
        if found.is_none() {
            (self.at, self.depth) = (at, depth);
        }
        found
    }

    /// What `part` reads one level deeper.
    pub(super) fn nested(&mut self, part: impl FnOnce(&mut Self) -> Option<Formula>) -> Option<Formula> {
        const DEEPEST: u32 = 64;
        self.depth += 1;
        let found = (self.depth <= DEEPEST).then(|| part(self))?;
        self.depth -= 1;
        found
    }
}
