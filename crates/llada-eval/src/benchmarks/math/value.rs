//! The value of a formula for given values of its symbols: an exact fraction where possible, otherwise a complex number.
//! Formulas that have the same value for arbitrary complex symbols are equal.

use num_bigint::BigInt;
use num_complex::Complex64;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::formula::{Formula, Operator};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Exact(BigRational),
    Near(Complex64),
}

use Value::{Exact, Near};

/// The number of bits of the largest exact power.
const BITS: u64 = 1 << 12;

impl Value {
    pub(super) fn complex(&self) -> Complex64 {
        match self {
            Exact(value) => value.to_f64().unwrap_or(f64::NAN).into(),
            Near(value) => *value,
        }
    }
}

impl Formula {
    /// Returns the value of the formula, where `symbol` returns the value of each symbol, or `None` if it has no value.
    pub(super) fn value(&self, symbol: &dyn Fn(&str) -> Complex64) -> Option<Value> {
        Some(match self {
            Self::Number(written) => Exact(decimal(written)?),
            Self::Infinity => return None,
            Self::Symbol(name) => Near(symbol(name)),
            Self::Negated(inner) => match inner.value(symbol)? {
                Exact(value) => Exact(-value),
                Near(value) => Near(-value),
            },
            Self::Binary(operator, left, right) => apply(*operator, left.value(symbol)?, right.value(symbol)?)?,
            Self::Call(name, arguments) => {
                let arguments = arguments.iter().map(|argument| argument.value(symbol)).collect::<Option<Vec<_>>>()?;
                called(name, &arguments, symbol)?
            }
        })
    }
}

/// Reads an integer or a decimal number. As in SymPy, an integer must not have leading zeros.
fn decimal(written: &str) -> Option<BigRational> {
    let (whole, decimals) = written.split_once('.').unwrap_or((written, ""));
    let is_padded = whole.starts_with('0') && whole.bytes().any(|digit| digit != b'0');
    if is_padded && decimals.is_empty() {
        return None;
    }
    let digits: BigInt = [whole, decimals].concat().parse().ok()?;
    Some(BigRational::new(digits, BigInt::from(10).pow(decimals.len().try_into().ok()?)))
}

fn apply(operator: Operator, left: Value, right: Value) -> Option<Value> {
    match (operator, &left, &right) {
        (Operator::Add, Exact(a), Exact(b)) => Some(Exact(a + b)),
        (Operator::Subtract, Exact(a), Exact(b)) => Some(Exact(a - b)),
        (Operator::Multiply, Exact(a), Exact(b)) => Some(Exact(a * b)),
        (Operator::Divide, _, Exact(b)) if b.is_zero() => None,
        (Operator::Divide, Exact(a), Exact(b)) => Some(Exact(a / b)),
        (Operator::Power, Exact(a), Exact(b)) => power(a, b),
        _ => {
            let (a, b) = (left.complex(), right.complex());
            near(match operator {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                Operator::Multiply => a * b,
                Operator::Divide => a / b,
                Operator::Power => a.powc(b),
            })
        }
    }
}

fn near(value: Complex64) -> Option<Value> {
    value.is_finite().then_some(Near(value))
}

/// Raises a fraction to a power, exactly if the exponent is an integer or the root is a fraction.
fn power(base: &BigRational, exponent: &BigRational) -> Option<Value> {
    if exponent.is_zero() {
        return Some(Exact(BigRational::one()));
    }
    if base.is_zero() {
        return exponent.is_positive().then(|| Exact(base.clone()));
    }
    let (times, index) = (exponent.numer().to_i32(), exponent.denom().to_u32());
    if let (Some(times), Some(index)) = (times, index)
        && let Some(root) = root(base, index)
        && bits(&root).checked_mul(times.unsigned_abs().into()).is_some_and(|bits| bits <= BITS)
    {
        return Some(Exact(root.pow(times)));
    }
    near(Exact(base.clone()).complex().powc(Exact(exponent.clone()).complex()))
}

fn bits(value: &BigRational) -> u64 {
    value.numer().bits().max(value.denom().bits())
}

/// Returns the real root of a positive fraction if it is a fraction. The first root of any number is the number.
fn root(value: &BigRational, index: u32) -> Option<BigRational> {
    if index == 1 {
        return Some(value.clone());
    }
    if value.is_negative() || index > 64 {
        return None;
    }
    let root = BigRational::new(value.numer().nth_root(index), value.denom().nth_root(index));
    (root.pow(index as i32) == *value).then_some(root)
}

fn called(name: &str, arguments: &[Value], symbol: &dyn Fn(&str) -> Complex64) -> Option<Value> {
    let exact = |index: usize| match arguments.get(index) {
        Some(Exact(value)) => Some(value),
        _ => None,
    };
    match (name, exact(0), exact(1)) {
        ("abs", Some(value), _) => return Some(Exact(value.abs())),
        ("floor", Some(value), _) => return Some(Exact(value.floor())),
        ("ceil", Some(value), _) => return Some(Exact(value.ceil())),
        ("factorial", Some(n), _) => return factorial(whole(n)?).map(Exact),
        ("binom", Some(n), Some(k)) => return binomial(whole(n)?, whole(k)?).map(Exact),
        ("factorial" | "binom", _, _) => return near(opaque(name, arguments, symbol)),
        _ => {}
    }
    let x = arguments.first()?.complex();
    let one = Complex64::one();
    near(match name {
        "abs" => x.norm().into(),
        "floor" | "ceil" => opaque(name, arguments, symbol),
        "exp" => x.exp(),
        "log" | "ln" => x.ln(),
        "lg" => x.log10(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "tan" => x.tan(),
        "csc" => one / x.sin(),
        "sec" => one / x.cos(),
        "cot" => one / x.tan(),
        "arcsin" => x.asin(),
        "arccos" => x.acos(),
        "arctan" => x.atan(),
        "arccsc" => (one / x).asin(),
        "arcsec" => (one / x).acos(),
        "arccot" => (one / x).atan(),
        "sinh" => x.sinh(),
        "cosh" => x.cosh(),
        "tanh" => x.tanh(),
        "arsinh" | "arcsinh" => x.asinh(),
        "arcosh" | "arccosh" => x.acosh(),
        "artanh" | "arctanh" => x.atanh(),
        _ => opaque(name, arguments, symbol),
    })
}

/// Returns an arbitrary value for an unknown function, which is the same for the same arguments.
fn opaque(name: &str, arguments: &[Value], symbol: &dyn Fn(&str) -> Complex64) -> Complex64 {
    let own = symbol(&format!("{name}()"));
    arguments.iter().fold(own, |value, argument| (value * argument.complex() + own).cos())
}

/// Returns the value as a natural number, if it is one that is small enough to count up to.
fn whole(value: &BigRational) -> Option<u32> {
    const LARGEST: u32 = 500;
    value.is_integer().then(|| value.numer().to_u32())?.filter(|&value| value <= LARGEST)
}

fn factorial(n: u32) -> Option<BigRational> {
    Some(BigRational::from_integer((1..=n).map(BigInt::from).product()))
}

fn binomial(n: u32, k: u32) -> Option<BigRational> {
    let below = k.min(n.saturating_sub(k));
    let steps = (0..below).map(|step| BigRational::new((n - step).into(), (step + 1).into()));
    Some(if k > n { BigRational::zero() } else { steps.product() })
}
