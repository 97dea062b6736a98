//! Decimal numbers, exactly.

use std::cmp::Ordering;

use serde_json::Number;

/// The most digits that a bound may have before and after the point.
const DIGITS: usize = 40;

/// A decimal number in plain notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) is_negative: bool,
    /// The digits before the point, at least one, without leading zeros.
    pub(super) integer: String,
    /// The digits after it, without trailing zeros.
    pub(super) fraction: String,
}

impl Decimal {
    /// Reads a number as it is written in JSON. Returns `None` if it has more than 40 digits before or after the point.
    pub(super) fn new(number: &Number) -> Option<Self> {
        let text = number.to_string();
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.parse().ok()?;
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [integer, fraction].concat();
        let point = integer.len() as i64 + exponent;
        if exponent.unsigned_abs() as usize > 2 * DIGITS {
            return (digits.bytes().all(|digit| digit == b'0')).then(Self::zero);
        }
        let padded = format!("{}{digits}{}", "0".repeat((-point).max(0) as usize), "0".repeat(point.max(0) as usize));
        let (integer, fraction) = padded.split_at(point.max(0) as usize);
        let (integer, fraction) = (integer.trim_start_matches('0'), fraction.trim_end_matches('0'));
        if integer.len() > DIGITS || fraction.len() > DIGITS {
            return None;
        }
        let integer = if integer.is_empty() { "0" } else { integer };
        let is_zero = integer == "0" && fraction.is_empty();
        Some(Self { is_negative: is_negative && !is_zero, integer: integer.to_owned(), fraction: fraction.to_owned() })
    }

    pub(super) fn zero() -> Self {
        Self { is_negative: false, integer: "0".to_owned(), fraction: String::new() }
    }

    /// Compares two numbers without their signs.
    fn compare_magnitudes(&self, other: &Self) -> Ordering {
        let by_length = self.integer.len().cmp(&other.integer.len());
        by_length.then_with(|| self.integer.cmp(&other.integer)).then_with(|| self.fraction.cmp(&other.fraction))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_magnitudes(other),
            (true, true) => other.compare_magnitudes(self),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::new(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn numbers_are_read_and_compared_as_decimals() {
        let written = |text: &str| {
            let Decimal { is_negative, integer, fraction } = decimal(text);
            format!("{}{integer}.{fraction}", if is_negative { "-" } else { "" })
        };
        for (text, expected) in [
            ("0", "0."),
            ("-0.0", "0."),
            ("12.50", "12.5"),
            ("1e-7", "0.0000001"),
            ("-2.5e3", "-2500."),
            ("0.1", "0.1"),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
        let ascending = ["-100", "-99.5", "-1.25", "-1.2", "0", "1e-9", "0.5", "9", "10", "10.05", "10.5"];
        assert!(ascending.windows(2).all(|pair| decimal(pair[0]) < decimal(pair[1])));
        assert_eq!(Decimal::new(&serde_json::from_str("1e300").unwrap()), None);
    }
}
