//! Countdown ([TinyZero](https://github.com/Jiayi-Pan/TinyZero)): an expression over all of the given numbers, each
//! once, that has a given value. The wording is this crate's own; the rule is TinyZero's, in exact fractions.

use crate::{EvalError, Generation, Judgement, Kind, Order, Record, Style, Task, question::mark, text::last_between};

pub(crate) static TASK: Task = Task {
    name: "countdown",
    about: "An expression over given numbers that has a given value",
    data: "Jiayi-Pan/Countdown-Tasks-3to4: nums, target",
    shots: Order::First,
    kind: Kind::Generation { ask },
};

fn ask(record: &Record, _: Style) -> Result<Generation, EvalError> {
    let (mut numbers, target) = (record.integers("nums")?, record.integer("target")?);
    let shown: Vec<String> = numbers.iter().map(i64::to_string).collect();
    let prompt = format!(
        "Use the numbers {}, each exactly once, with +, -, * and / to make an expression that equals {target}. Give the \
         expression in <answer> </answer>, for example <answer>(1 + 2) / 3</answer>.",
        shown.join(", ")
    );
    numbers.sort_unstable();
    let rule = move |written: &str| {
        let found = last_between(written, "<answer>", "</answer>");
        let found = found.or_else(|| written.trim().lines().last()).unwrap_or_default();
        let expression = found.split('=').next().unwrap_or(found).trim();
        let right = evaluate(expression).is_some_and(|(value, mut used)| {
            used.sort_unstable();
            used == numbers && value.equals(target)
        });
        Judgement { answer: Some(expression.to_owned()), marks: vec![("exact_match", mark(right))] }
    };
    Ok(Generation { prompt, target: None, stops: &[], task_id: None, rule: Box::new(rule) })
}

/// A fraction; its denominator is not zero.
#[derive(Clone, Copy)]
struct Fraction(i128, i128);

impl Fraction {
    fn equals(self, integer: i64) -> bool {
        i128::from(integer).checked_mul(self.1) == Some(self.0)
    }

    /// None where the result is none, or too large to be meant.
    fn apply(self, operator: u8, other: Self) -> Option<Self> {
        let (Self(a, b), Self(c, d)) = (self, other);
        let cross = |sign: i128| a.checked_mul(d)?.checked_add(sign * c.checked_mul(b)?);
        let (top, bottom) = match operator {
            b'+' => (cross(1)?, b.checked_mul(d)?),
            b'-' => (cross(-1)?, b.checked_mul(d)?),
            b'*' => (a.checked_mul(c)?, b.checked_mul(d)?),
            _ => (a.checked_mul(d)?, b.checked_mul(c)?),
        };
        (bottom != 0).then_some(Self(top, bottom))
    }
}

/// The value of an expression of integers, `+ - * /` and parentheses, and the integers in it.
fn evaluate(text: &str) -> Option<(Fraction, Vec<i64>)> {
    let text = text.replace(['×', '·'], "*").replace('÷', "/").replace('−', "-");
    let bytes: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let mut parser = Parser { rest: &bytes, used: Vec::new(), depth: 0 };
    let value = parser.sum()?;
    parser.rest.is_empty().then_some((value, parser.used))
}

struct Parser<'a> {
    rest: &'a [u8],
    used: Vec<i64>,
    depth: u32,
}

impl Parser<'_> {
    fn sum(&mut self) -> Option<Fraction> {
        let mut value = self.product()?;
        while let Some(operator) = self.take(b"+-") {
            value = value.apply(operator, self.product()?)?;
        }
        Some(value)
    }

    fn product(&mut self) -> Option<Fraction> {
        let mut value = self.atom()?;
        while let Some(operator) = self.take(b"*/") {
            value = value.apply(operator, self.atom()?)?;
        }
        Some(value)
    }

    fn atom(&mut self) -> Option<Fraction> {
        // A model may write parentheses without end.
        const DEEPEST: u32 = 64;
        if self.take(b"(").is_some() {
            self.depth += 1;
            let value = (self.depth < DEEPEST).then(|| self.sum())??;
            self.depth -= 1;
            return self.take(b")").map(|_| value);
        }
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        let number: i64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        self.rest = rest;
        self.used.push(number);
        Some(Fraction(number.into(), 1))
    }

    fn take(&mut self, any: &[u8]) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        any.contains(first).then(|| {
            self.rest = rest;
            *first
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_their_exact_value() {
        for (text, expected) in [
            ("1 + 2 * 3", Some((7, vec![1, 2, 3]))),
            ("8/(3-8/3)", Some((24, vec![8, 3, 8, 3]))),
            ("2 × (3 − 1)", Some((4, vec![2, 3, 1]))),
            ("1/0", None),
            ("1 +", None),
            ("(1", None),
            ("12 monkeys", None),
            ("99999999999999999999", None),
            ("", None),
        ] {
            let found = evaluate(text);
            let found = found.map(|(value, used)| (value.0 / value.1, used));
            assert_eq!(found, expected, "{text}");
        }
        assert!(evaluate(&"(".repeat(10_000)).is_none());
        assert!(!evaluate("1/3").unwrap().0.equals(0));
    }
}
