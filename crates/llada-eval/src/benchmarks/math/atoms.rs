//! The operands of a formula: numbers, names, fractions, roots and functions.

use super::{
    formula::{Formula, Operator, binary, call},
    lexer::Token,
    parser::Parser,
};

/// The functions for which a power of −1 after the name means the inverse, as in `\sin^{-1} x`.
const POWERED: [&str; 9] = ["sin", "cos", "tan", "csc", "sec", "cot", "sinh", "cosh", "tanh"];

impl Parser<'_> {
    pub(super) fn atom(&mut self) -> Option<Formula> {
        match self.peek()?.clone() {
            Token::Digit(_) => self.number(),
            Token::Name(_) => self.name().map(Formula::Symbol),
            Token::Command("infty") => self.after(1).map(|_| Formula::Infinity),
            Token::Command("frac" | "dfrac" | "tfrac") => {
                self.at += 1;
                let (top, bottom) = (self.digit_or_group()?, self.digit_or_group()?);
                Some(binary(Operator::Divide, top, bottom))
            }
            Token::Command("binom" | "dbinom" | "tbinom") => {
                self.at += 1;
                let arguments = vec![self.group()?, self.group()?];
                Some(Formula::Call("binom".to_owned(), arguments))
            }
            _ => None,
        }
    }

    /// Parses digits, groups of three after commas, a point and decimals. A point without decimals makes the whole formula
    /// invalid.
    fn number(&mut self) -> Option<Formula> {
        let mut written = self.digits();
        while self.peek() == Some(&Token::Sign(',')) && (1..=3).all(|next| self.digit(next).is_some()) {
            written.extend((1..=3).filter_map(|next| self.digit(next)));
            self.at += 4;
        }
        if self.peek() == Some(&Token::Sign('.')) {
            self.at += 1;
            let decimals = self.digits();
            if decimals.is_empty() {
                self.attempts = 0;
            }
            written = format!("{written}.{decimals}");
        }
        (self.attempts > 0).then_some(Formula::Number(written))
    }

    fn digits(&mut self) -> String {
        let digits: String = (0..).map_while(|next| self.digit(next)).collect();
        self.at += digits.len();
        digits
    }

    fn digit(&self, next: usize) -> Option<char> {
        match self.tokens.get(self.at + next)? {
            Token::Digit(digit) => Some(*digit),
            _ => None,
        }
    }

    /// Parses a name with its subscript and its primes.
    fn name(&mut self) -> Option<String> {
        let Token::Name(mut name) = self.peek()?.clone() else {
            return None;
        };
        self.at += 1;
        let mut primes = self.primes();
        if self.peek() == Some(&Token::Sign('_'))
            && let Some(subscript) = self.attempt(|parser| parser.after(1)?.script())
        {
            name = format!("{name}_{subscript:?}");
        }
        primes += self.primes();
        Some(name + &"'".repeat(primes))
    }

    fn primes(&mut self) -> usize {
        let primes = self.tokens[self.at..].iter().take_while(|&token| *token == Token::Sign('\'')).count();
        self.at += primes;
        primes
    }

    /// Parses a superscript or subscript, which is an atom or a group.
    pub(super) fn script(&mut self) -> Option<Formula> {
        match self.peek()? {
            Token::Sign('{') => self.group(),
            _ => self.atom(),
        }
    }

    fn digit_or_group(&mut self) -> Option<Formula> {
        match self.digit(0) {
            Some(digit) => self.after(1).map(|_| Formula::Number(digit.to_string())),
            None => self.group(),
        }
    }

    fn group(&mut self) -> Option<Formula> {
        (self.peek() == Some(&Token::Sign('{'))).then(|| self.between(&Token::Sign('}')))?
    }

    /// Parses the formula between the current token and `close`.
    pub(super) fn between(&mut self, close: &Token) -> Option<Formula> {
        let inner = self.nested(|parser| parser.after(1)?.sum())?;
        (self.peek() == Some(close)).then(|| self.at += 1)?;
        Some(inner)
    }

    pub(super) fn root(&mut self) -> Option<Formula> {
        self.at += 1;
        let index = match self.peek() {
            Some(Token::Sign('[')) => self.between(&Token::Sign(']'))?,
            _ => Formula::Number("2".to_owned()),
        };
        let radicand = self.group()?;
        let exponent = binary(Operator::Divide, Formula::Number("1".to_owned()), index);
        Some(binary(Operator::Power, radicand, exponent))
    }

    /// Parses an unknown function: a letter or a name before parentheses.
    pub(super) fn unknown_function(&mut self) -> Option<Formula> {
        let name = self.name()?;
        (self.peek() == Some(&Token::Sign('('))).then_some(())?;
        let mut arguments = vec![self.nested(|parser| parser.after(1)?.sum())?];
        while self.peek() == Some(&Token::Sign(',')) {
            arguments.push(self.nested(|parser| parser.after(1)?.sum())?);
        }
        (self.peek() == Some(&Token::Sign(')'))).then(|| self.at += 1)?;
        Some(Formula::Call(name, arguments))
    }

    /// Parses a known function: its name, subscript and power, then its argument.
    pub(super) fn function(&mut self) -> Option<Formula> {
        let Token::Function(name) = *self.peek()? else {
            return None;
        };
        self.at += 1;
        let start = self.at;
        // `\log_28` is the logarithm of 8 to base 2: if the subscript 28 leaves no argument, it is a single digit.
        self.attempt(|parser| parser.applied(name, false)).or_else(|| {
            self.at = start;
            self.applied(name, true)
        })
    }

    fn applied(&mut self, name: &'static str, is_short: bool) -> Option<Formula> {
        let (mut base, mut power) = (None, None);
        for _ in 0..2 {
            match self.peek() {
                Some(Token::Sign('_')) if base.is_none() => base = Some(self.after(1)?.argument_script(is_short)?),
                Some(Token::Sign('^')) if power.is_none() => power = Some(self.after(1)?.argument_script(is_short)?),
                _ => {}
            }
        }
        let argument = match self.peek()? {
            Token::Sign('(') => self.attempt(|parser| parser.between(&Token::Sign(')'))),
            _ => None,
        };
        let argument = argument.or_else(|| self.nested(|parser| parser.product(false)))?;
        let minus_one = Formula::Negated(Box::new(Formula::Number("1".to_owned())));
        if power.as_ref() == Some(&minus_one) && POWERED.contains(&name) {
            return Some(call(&format!("arc{name}"), argument));
        }
        let applied = match base.filter(|_| matches!(name, "log" | "lg" | "ln")) {
            Some(base) => binary(Operator::Divide, call("log", argument), call("log", base)),
            None => call(name, argument),
        };
        Some(match power {
            Some(power) => binary(Operator::Power, applied, power),
            None => applied,
        })
    }

    fn argument_script(&mut self, is_short: bool) -> Option<Formula> {
        match self.digit(0) {
            Some(_) if is_short => self.digit_or_group(),
            _ => self.script(),
        }
    }
}
