//! The parser of formulas in LaTeX: the part of SymPy's grammar whose values are numbers. As in SymPy, text after a complete
//! formula is ignored: `1,2` is 1.

use super::{
    formula::{Formula, Operator, binary, call},
    lexer::{Token, tokens},
};

/// Parses the formula at the start of `text`. The flag is true if the formula is all of `text`.
pub(super) fn parse(text: &str) -> Option<(Formula, bool)> {
    /// The largest number of attempts, far more than a formula of a page takes. Nested parts that can be read in two ways
    /// would otherwise take exponential time.
    const ATTEMPTS: u32 = 20_000;
    /// The length of the longest formula in bytes, which bounds the depth of its tree and thus the use of the stack.
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

    /// Parses factors. The first may be a function only if `may_call` is true.
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

    /// Parses factors without a sign between them. An `x` between two factors without symbols is a multiplication sign.
    fn factors(&mut self, may_call: bool) -> Option<Formula> {
        let mut factors = vec![self.powers(true)?];
        while let Some(factor) = self.attempt(|parser| parser.powers(may_call)) {
            factors.push(factor);
        }
        let sign = Formula::Symbol("x".to_owned());
        let mut product: Option<Formula> = None;
        for (index, factor) in factors.iter().enumerate() {
            let is_sign = index > 0
                && *factor == sign
                && !factors[index - 1].has_symbol()
                && factors.get(index + 1).is_some_and(|next| !next.has_symbol());
            if is_sign {
                continue;
            }
            product = Some(match product {
                Some(product) => binary(Operator::Multiply, product, factor.clone()),
                None => factor.clone(),
            });
        }
        product
    }

    /// Parses a part with its exponents, then its factorials.
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

    /// Parses with `part`. If it fails, no token is consumed.
    pub(super) fn attempt(&mut self, part: impl FnOnce(&mut Self) -> Option<Formula>) -> Option<Formula> {
        let (at, depth) = (self.at, self.depth);
        self.attempts = self.attempts.checked_sub(1)?;
        let found = if self.attempts > 0 { part(self) } else { None };
        if found.is_none() {
            (self.at, self.depth) = (at, depth);
        }
        found
    }

    /// Parses with `part` one level deeper, unless that is too deep.
    pub(super) fn nested(&mut self, part: impl FnOnce(&mut Self) -> Option<Formula>) -> Option<Formula> {
        const DEEPEST: u32 = 64;
        self.depth += 1;
        let found = (self.depth <= DEEPEST).then(|| part(self))?;
        self.depth -= 1;
        found
    }
}
