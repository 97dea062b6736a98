//! The one error of this crate.

use strum::VariantNames;

use crate::{confidence::Remasking, hint::Hint};

/// What can be wrong with the numbers handed to this crate.
///
/// Messages name the offending value; where a setting is wrong, [`hint`](CoreError::hint) says what
/// would work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A count that has to be positive is zero.
    #[error("{name} is 0")]
    Zero {
        /// The setting, as the paper and the configuration spell it.
        name: &'static str,
    },

    /// The answer cannot be cut into whole blocks.
    #[error("block_length {block_length} does not divide gen_length {gen_length}")]
    BlockLength {
        /// The refused block length, in tokens.
        block_length: usize,
        /// The length of the answer, in tokens.
        gen_length: usize,
    },

    /// The steps cannot be shared out evenly among the blocks.
    #[error("steps {steps} is not a multiple of the number of blocks, {blocks}")]
    Steps {
        /// The refused number of steps.
        steps: usize,
        /// The number of blocks, `gen_length / block_length`.
        blocks: usize,
    },

    /// There are fewer steps than blocks.
    #[error("steps {steps} is less than the {blocks} blocks, each of which takes a step")]
    TooFewSteps {
        /// The refused number of steps.
        steps: usize,
        /// The number of blocks.
        blocks: usize,
    },

    /// A name that no [`Remasking`](crate::confidence::Remasking) has.
    #[error("unknown remasking {0:?}")]
    Remasking(String),

    /// Two inputs that describe the same things differ in length.
    #[error("{name} has length {found}, expected {expected}")]
    Length {
        /// The input that does not fit.
        name: &'static str,
        /// Its length.
        found: usize,
        /// The length the other inputs call for.
        expected: usize,
    },

    /// An index, or a token id, that nothing has.
    #[error("{name} {index} is out of range, there are {length}")]
    Index {
        /// What the index selects.
        name: &'static str,
        /// Its value.
        index: usize,
        /// How many there are to select from.
        length: usize,
    },

    /// A length exceeds that of what it is a part of.
    #[error("{name} {found} exceeds {largest}")]
    TooLarge {
        /// What is too large.
        name: &'static str,
        /// Its value.
        found: usize,
        /// The largest value that is possible here.
        largest: usize,
    },

    /// A real number is outside of the interval it has to lie in.
    #[error("{name} {found} is outside of [{lowest}, {highest}]")]
    OutOfRange {
        /// What is outside.
        name: &'static str,
        /// Its value.
        found: f64,
        /// Lower end of the interval.
        lowest: f64,
        /// Upper end of the interval.
        highest: f64,
    },

    /// A joint distribution of zero mass.
    #[error("the joint distribution sums to 0")]
    ZeroMass,
}

impl CoreError {
    /// What would help.
    pub fn hint(&self) -> Option<Hint> {
        match *self {
            Self::Zero { .. } => Some(Hint::Advice("it has to be at least 1".to_owned())),
            Self::BlockLength { block_length, gen_length } => {
                let divides = |length: &usize| gen_length.is_multiple_of(*length);
                let shorter = (1..block_length.min(gen_length + 1)).rev().find(divides);
                let longer = (block_length..=gen_length).find(divides);
                Some(Hint::set("block_length", shorter.into_iter().chain(longer)))
            }
            Self::Steps { steps, blocks } => {
                let fewer = Some(steps / blocks * blocks).filter(|&steps| steps > 0);
                Some(Hint::set("steps", fewer.into_iter().chain(steps.checked_next_multiple_of(blocks))))
            }
            Self::TooFewSteps { blocks, .. } => Some(Hint::set("steps", [blocks])),
            Self::Remasking(_) => Some(Hint::one_of(Remasking::VARIANTS)),
            _ => None,
        }
    }

    /// Refuses an input whose length is not the expected one.
    pub(crate) fn check_length(name: &'static str, found: usize, expected: usize) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self::Length { name, found, expected }) }
    }

    /// Refuses an index into `length` things that is not below it.
    pub(crate) fn check_index(name: &'static str, index: usize, length: usize) -> Result<(), Self> {
        if index < length { Ok(()) } else { Err(Self::Index { name, index, length }) }
    }

    /// Refuses a value beyond the largest possible one.
    pub(crate) fn check_at_most(name: &'static str, found: usize, largest: usize) -> Result<(), Self> {
        if found <= largest { Ok(()) } else { Err(Self::TooLarge { name, found, largest }) }
    }

    /// Refuses a number outside of `[lowest, highest]`, and NaN.
    pub(crate) fn check_within(name: &'static str, found: f64, lowest: f64, highest: f64) -> Result<(), Self> {
        if (lowest..=highest).contains(&found) {
            Ok(())
        } else {
            Err(Self::OutOfRange { name, found, lowest, highest })
        }
    }
}
