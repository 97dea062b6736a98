//! Formulas as trees.

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Formula {
    /// A decimal number as written, without commas.
    Number(String),
    Infinity,
    Symbol(String),
    Negated(Box<Formula>),
    Binary(Operator, Box<Formula>, Box<Formula>),
    /// A known function, or a letter or name before parentheses.
    Call(String, Vec<Formula>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

impl Formula {
    pub(super) fn has_symbol(&self) -> bool {
        match self {
            Self::Number(_) | Self::Infinity => false,
            Self::Symbol(_) => true,
            Self::Negated(inner) => inner.has_symbol(),
            Self::Binary(_, left, right) => left.has_symbol() || right.has_symbol(),
            Self::Call(_, arguments) => arguments.iter().any(Self::has_symbol),
        }
    }
}

pub(super) fn binary(operator: Operator, left: Formula, right: Formula) -> Formula {
    Formula::Binary(operator, left.into(), right.into())
}

pub(super) fn call(name: &str, argument: Formula) -> Formula {
    Formula::Call(name.to_owned(), vec![argument])
}
