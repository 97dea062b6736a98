//! Numbers between bounds, as automata over their digits.
//!
//! A bound is compared exactly, as a decimal number. A number without bounds may have an exponent; one with bounds has none.

use super::decimal::Decimal;
use crate::{
    GrammarError,
    bytes::{ByteDfa, Language},
    limits::Budget,
    regex::{Writing, parse},
};

/// Any number.
pub(super) const NUMBER: &str = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+\-]?[0-9]+)?";

/// Any integer. Zero has no sign.
pub(super) const INTEGER: &str = "0|-?[1-9][0-9]*";

/// The largest divisor of `multipleOf`, which has one state per remainder.
pub(super) const LARGEST_DIVISOR: u64 = 1000;

/// A bound of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) value: Decimal,
    pub(super) is_exclusive: bool,
}

/// Which side of a bound is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
}

/// Returns the numbers between two bounds, in decimal notation.
pub(super) fn between(
    lowest: Option<&Bound>,
    highest: Option<&Bound>,
    budget: &Budget,
) -> Result<Language, GrammarError> {
    let mut parts = Vec::new();
    if highest.is_none_or(|bound| !bound.value.is_negative) {
        parts.push(magnitudes(lowest.filter(|bound| !bound.value.is_negative), highest, budget)?);
    }
    if lowest.is_none_or(|bound| bound.value.is_negative) {
        let positive = Bound { value: Decimal::zero(), is_exclusive: true };
        let nearest = highest.filter(|bound| bound.value.is_negative).unwrap_or(&positive);
        parts.push(Language::Concat(vec![Language::text("-"), magnitudes(Some(nearest), lowest, budget)?]));
    }
    Ok(Language::Union(parts))
}

/// Returns the integers of a language of numbers that are multiples of a number from 1 to [`LARGEST_DIVISOR`].
pub(super) fn integers(numbers: &Language, divisor: u64, budget: &Budget) -> Result<ByteDfa, GrammarError> {
    let integers = parse(INTEGER, Writing::Plain)?.compile(budget)?;
    numbers.compile(budget)?.intersection(&integers, budget)?.intersection(&multiples(divisor), budget)
}

/// Returns the multiples of a number, in any decimal notation. The third state and those after it are the remainders.
fn multiples(divisor: u64) -> ByteDfa {
    let divisor = divisor as u32;
    ByteDfa::new(
        2 + divisor,
        |state| state == 2,
        |state, byte| match (state, byte) {
            (0, b'-') => Some(1),
            (_, b'0'..=b'9') => Some(2 + (10 * state.saturating_sub(2) + u32::from(byte - b'0')) % divisor),
            _ => None,
        },
    )
}

/// Returns the magnitudes between two bounds, of which only the magnitude counts.
fn magnitudes(lowest: Option<&Bound>, highest: Option<&Bound>, budget: &Budget) -> Result<Language, GrammarError> {
    let mut dfa = parse(r"(0|[1-9][0-9]*)(\.[0-9]+)?", Writing::Plain)?.compile(budget)?;
    for (bound, side) in [(lowest, Side::Above), (highest, Side::Below)] {
        if let Some(bound) = bound {
            dfa = dfa.intersection(&one_side(bound, side)?.compile(budget)?, budget)?;
        }
    }
    Ok(Language::Dfa(dfa.into()))
}

/// Returns the magnitudes on one side of a bound: those that differ from it in a digit, those that are longer or shorter,
/// and the bound itself.
fn one_side(Bound { value, is_exclusive }: &Bound, side: Side) -> Result<Language, GrammarError> {
    const FRACTION: &str = r"(\.[0-9]+)?";
    let (integer, fraction) = (value.integer.as_str(), value.fraction.as_str());
    let (length, digits) = (integer.len(), [integer, fraction].concat());
    // The first digits of the bound, and the point if the next digit is behind it.
    let prefix = |count: usize| match count.checked_sub(length) {
        None => digits[..count].to_owned(),
        Some(behind) => format!(r"{integer}\.{}", &fraction[..behind]),
    };
    let mut texts = Vec::new();
    for (index, digit) in digits.bytes().enumerate() {
        let least = if index == 0 && length > 1 { b'1' } else { b'0' };
        let (low, high) = if side == Side::Above { (digit + 1, b'9') } else { (least, digit - 1) };
        if low <= high {
            let rest = match length.checked_sub(index + 1) {
                Some(missing) => format!("[0-9]{{{missing}}}{FRACTION}"),
                None => "[0-9]*".to_owned(),
            };
            texts.push(format!("{}[{}-{}]{rest}", prefix(index), char::from(low), char::from(high)));
        }
    }
    let bound = if fraction.is_empty() { integer.to_owned() } else { prefix(digits.len()) };
    let point = if fraction.is_empty() { r"\." } else { "" };
    match side {
        Side::Above => {
            texts.push(format!("[1-9][0-9]{{{length},}}{FRACTION}"));
            texts.push(format!("{bound}{point}0*[1-9][0-9]*"));
        }
        Side::Below => {
            if length > 1 {
                texts.push(format!("(0|[1-9][0-9]{{0,{}}}){FRACTION}", length - 2));
            }
            texts.extend((0..fraction.len()).map(|count| match count {
                0 => integer.to_owned(),
                _ => prefix(length + count),
            }));
        }
    }
    if !is_exclusive {
        texts.push(if fraction.is_empty() { format!(r"{bound}(\.0+)?") } else { format!("{bound}0*") });
    }
    let parts = texts.iter().map(|text| parse(text, Writing::Plain));
    Ok(Language::Union(parts.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    /// Every number of a grid, written with no digit, one or two digits too many, against the comparison of integers.
    #[test]
    fn bounds_hold_for_every_number_of_a_grid() {
        let budget = Budget::new(Limits::default());
        let decimal = |hundredths: i32| {
            let text = format!(
                "{}{}.{:02}",
                if hundredths < 0 { "-" } else { "" },
                hundredths.abs() / 100,
                hundredths.abs() % 100
            );
            (Decimal::new(&serde_json::from_str(&text).unwrap()).unwrap(), text)
        };
        let bounds = [-1205, -1000, -999, -130, -100, -7, 0, 5, 10, 90, 100, 119, 999, 1000, 1210];
        for low in bounds.map(Some).into_iter().chain([None]) {
            for high in bounds.map(Some).into_iter().chain([None]) {
                for (low_exclusive, high_exclusive) in [(false, false), (true, false), (false, true), (true, true)] {
                    let bound = |value: Option<i32>, is_exclusive| {
                        value.map(|value| Bound { value: decimal(value).0, is_exclusive })
                    };
                    let numbers =
                        between(bound(low, low_exclusive).as_ref(), bound(high, high_exclusive).as_ref(), &budget);
                    let numbers = numbers.unwrap();
                    let dfa = numbers.compile(&budget).unwrap();
                    assert!(!dfa.accepts(""));
                    let sevens = integers(&numbers, 7, &budget).unwrap();
                    for value in (-1300..1300).step_by(5).chain([-1001, -1, 1, 101, 999, 1001]) {
                        let above = low.is_none_or(|low| if low_exclusive { value > low } else { value >= low });
                        let below = high.is_none_or(|high| if high_exclusive { value < high } else { value <= high });
                        let text = decimal(value).1;
                        for text in [text.clone(), format!("{text}0"), text.trim_end_matches('0').to_owned()] {
                            let expected = above && below && !text.ends_with('.');
                            assert_eq!(dfa.accepts(&text), expected, "{text} in {low:?} to {high:?}");
                        }
                        if value % 100 == 0 {
                            let (text, expected) = ((value / 100).to_string(), above && below);
                            assert_eq!(dfa.accepts(&text), expected, "{text} in {low:?} to {high:?}");
                            assert_eq!(sevens.accepts(&text), expected && value % 700 == 0, "{text}");
                        }
                    }
                }
            }
        }
    }
}
