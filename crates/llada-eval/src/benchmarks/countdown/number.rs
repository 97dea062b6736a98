//! The numbers of Python: integers of any size, floats, and complex numbers, which roots of negative numbers are. An
//! operation that raises an error in Python has no result.

use num_bigint::BigInt;
use num_complex::Complex64;
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// The number of bits of the largest integer. Python has no limit but would run for hours or out of memory.
const BITS: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Number {
    Integer(BigInt),
    Float(f64),
    Complex(Complex64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Power,
}

/// Two numbers, converted to the narrowest type that holds both.
enum Pair {
    Integers(BigInt, BigInt),
    Floats(f64, f64),
    Complexes(Complex64, Complex64),
}

impl Number {
    /// Returns true if the number is at most 1e-5 away from `target`.
    pub(super) fn is_near(&self, target: i64) -> bool {
        const TOLERANCE: f64 = 1e-5;
        match self {
            Self::Integer(value) => *value == BigInt::from(target),
            Self::Float(value) => (value - target as f64).abs() < TOLERANCE,
            Self::Complex(value) => (value - target as f64).norm() < TOLERANCE,
        }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Integer(value) => Self::Integer(-value),
            Self::Float(value) => Self::Float(-value),
            Self::Complex(value) => Self::Complex(-value),
        }
    }

    pub(super) fn apply(self, operator: Operator, other: Self) -> Option<Self> {
        match self.paired(other)? {
            Pair::Integers(a, b) => integers(operator, &a, &b),
            Pair::Floats(a, b) => floats(operator, a, b),
            Pair::Complexes(a, b) => complexes(operator, a, b).map(Self::Complex),
        }
    }

    fn paired(self, other: Self) -> Option<Pair> {
        Some(match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Pair::Integers(a, b),
            (a @ Self::Complex(_), b) | (a, b @ Self::Complex(_)) => Pair::Complexes(a.complex()?, b.complex()?),
            (a, b) => Pair::Floats(a.complex()?.re, b.complex()?.re),
        })
    }

    fn complex(&self) -> Option<Complex64> {
        match self {
            Self::Integer(value) => float(value).map(Complex64::from),
            Self::Float(value) => Some((*value).into()),
            Self::Complex(value) => Some(*value),
        }
    }
}

fn float(integer: &BigInt) -> Option<f64> {
    integer.to_f64().filter(|value| value.is_finite())
}

fn integers(operator: Operator, a: &BigInt, b: &BigInt) -> Option<Number> {
    let result = match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply if a.bits() + b.bits() > BITS => return None,
        Operator::Multiply => a * b,
        Operator::Divide => return quotient(a, b).map(Number::Float),
        Operator::FloorDivide if b.is_zero() => return None,
        Operator::FloorDivide => a.div_floor(b),
        Operator::Power if b.is_negative() => return floats(operator, float(a)?, float(b)?),
        Operator::Power => power(a, b)?,
    };
    Some(Number::Integer(result))
}

/// Returns the float nearest to a quotient whose operands may be too large for floats.
fn quotient(a: &BigInt, b: &BigInt) -> Option<f64> {
    const EXACT: u64 = 53;
    if b.is_zero() {
        return None;
    }
    if a.bits() <= EXACT && b.bits() <= EXACT {
        return Some(a.to_f64()? / b.to_f64()?);
    }
    // The operands are shifted so that the integer quotient has more bits than a float, and the result is scaled back.
    let shift = b.bits() as i64 - a.bits() as i64 + 2 * EXACT as i64;
    let (a, b) = if shift > 0 { (a << shift, b.clone()) } else { (a.clone(), b << -shift) };
    let (mut value, mut left) = ((a / b).to_f64()?, -shift);
    while left != 0 && value != 0.0 && value.is_finite() {
        let step = left.clamp(-1000, 1000);
        value *= 2.0_f64.powi(step as i32);
        left -= step;
    }
    Some(value).filter(|value| value.is_finite())
}

fn power(base: &BigInt, exponent: &BigInt) -> Option<BigInt> {
    if base.magnitude().bits() <= 1 {
        let is_odd = exponent.is_odd();
        return Some(if exponent.is_zero() || (base.is_negative() && !is_odd) { BigInt::one() } else { base.clone() });
    }
    let exponent = exponent.to_u32()?;
    (base.bits().checked_mul(exponent.into())? <= BITS).then(|| base.pow(exponent))
}

fn floats(operator: Operator, a: f64, b: f64) -> Option<Number> {
    let divides = matches!(operator, Operator::Divide | Operator::FloorDivide);
    if divides && b == 0.0 || operator == Operator::Power && a == 0.0 && b < 0.0 {
        return None;
    }
    Some(Number::Float(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::FloorDivide => floor_quotient(a, b),
        Operator::Power if a < 0.0 && b.is_finite() && b != b.floor() => {
            return complexes(operator, a.into(), b.into()).map(Number::Complex);
        }
        Operator::Power => {
            let result = a.powf(b);
            return (result.is_finite() || !a.is_finite() || !b.is_finite()).then_some(Number::Float(result));
        }
    }))
}

/// Returns the largest whole number that does not exceed `a / b`. It is computed from the remainder, which is exact even
/// where the quotient is rounded.
fn floor_quotient(a: f64, b: f64) -> f64 {
    let remainder = a % b;
    let below = remainder != 0.0 && (b < 0.0) != (remainder < 0.0);
    let quotient = (a - remainder) / b - f64::from(u8::from(below));
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

fn complexes(operator: Operator, a: Complex64, b: Complex64) -> Option<Complex64> {
    let result = match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide if b.is_zero() => return None,
        Operator::Divide => a / b,
        // Complex numbers have no order.
        Operator::FloorDivide => return None,
        Operator::Power if b.is_zero() => Complex64::one(),
        Operator::Power if a.is_zero() => return (b.im == 0.0 && b.re > 0.0).then_some(a),
        Operator::Power => a.powc(b),
    };
    let overflows = operator == Operator::Power && !result.is_finite();
    (!overflows).then_some(result)
}
