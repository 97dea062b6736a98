//! The comparison of formulas. Two formulas are equal if their texts are, or if they have the same value for arbitrary values
//! of their symbols. (The harness asks SymPy to simplify their difference to zero.)

use std::{
    f64::consts::TAU,
    hash::{DefaultHasher, Hash, Hasher},
};

use num_bigint::BigInt;
use num_complex::Complex64;

use super::{formula::Formula, parser::parse, value::Value};

/// The number of values that each symbol is tried with, in evenly spaced directions of the complex plane.
const ROUNDS: u32 = 5;

/// Returns true if two answers are equal for the harness, which parses the longest formula at the start of an answer.
pub(super) fn equal(a: &str, b: &str) -> bool {
    if a == b {
        return !a.is_empty();
    }
    let (Some((a, _)), Some((b, _))) = (parse(a), parse(b)) else {
        return false;
    };
    have_equal_values(&a, &b)
}

fn have_equal_values(a: &Formula, b: &Formula) -> bool {
    for round in 0..ROUNDS {
        let symbol = |name: &str| direction(name, round);
        let (Some(a), Some(b)) = (a.value(&symbol), b.value(&symbol)) else {
            return false;
        };
        if !are_same(&a, &b) {
            return false;
        }
    }
    true
}

/// Returns the value of a symbol in a round. It differs from name to name, and each round turns it by the same angle.
fn direction(name: &str, round: u32) -> Complex64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let hash = hasher.finish();
    let [angle, length] = [hash >> 32, hash & 0xffff_ffff].map(|half| half as f64 / (1_u64 << 32) as f64);
    Complex64::from_polar(0.5 + length, TAU * (angle + f64::from(round) / f64::from(ROUNDS)))
}

fn are_same(a: &Value, b: &Value) -> bool {
    /// A fraction with a smaller denominator may be the value of an expression with roots. One with a larger denominator is
    /// a rounded decimal number.
    const LARGEST_DENOMINATOR: u32 = 1_000_000;
    match (a, b) {
        (Value::Exact(a), Value::Exact(b)) => a == b,
        (Value::Exact(exact), Value::Near(_)) | (Value::Near(_), Value::Exact(exact))
            if *exact.denom() > BigInt::from(LARGEST_DENOMINATOR) =>
        {
            false
        }
        _ => {
            let (a, b) = (a.complex(), b.complex());
            (a - b).norm() <= 1e-11 * a.norm().max(b.norm()).max(1.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_compared_by_value() {
        for (a, b) in [
            ("x+1", "1+x"),
            (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
            (r"\frac{x^2-1}{x-1}", "x+1"),
            (r"\sqrt{2}\sqrt{2}", "2"),
            ("1/10", "0.1"),
            (r"\binom{5}{2}", "10"),
            (r"\log_28", "3"),
            ("1,2", "1,3"),
        ] {
            assert!(equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn other_formulas_stay_apart() {
        for (a, b) in [
            ("x", "y"),
            (r"\sqrt{x^2}", "x"),
            ("1/0", "2/0"),
            (r"\sqrt{2}", "1.4142135623730951"),
            ("100000000000000000000", "100000000000000000001"),
            ("x<5", "x"),
            ("5.", "5"),
            ("", ""),
            (r"\infty", r"-\infty"),
        ] {
            assert!(!equal(a, b), "{a} {b}");
        }
        // Neither depth nor length is a danger.
        assert!(!equal(&"(".repeat(10_000), "1") && !equal(&"a(".repeat(400), "1") && !equal(&"-".repeat(10_000), "1"));
    }
}
