//! The error type of this crate.

use strum::VariantNames;

use crate::{confidence::Remasking, hint::Hint, schedule::NoiseSchedule};

/// An input or a setting that this crate refuses.
///
/// The message names the offending value. If a setting is wrong, [`hint`](CoreError::hint) returns
/// values that would work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A count that must be positive is zero.
    #[error("{name} is 0")]
    Zero {
        /// The name of the setting, as the paper and the configuration spell it.
        name: &'static str,
    },

    /// The answer cannot be divided into blocks of equal length.
    #[error("block_length {block_length} does not divide gen_length {gen_length}")]
    BlockLength {
        /// The refused block length, in tokens.
        block_length: usize,
        /// The length of the answer, in tokens.
        gen_length: usize,
    },

    /// The steps cannot be distributed evenly over the blocks.
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

    /// The name is not that of a [`Remasking`](crate::confidence::Remasking).
    #[error("unknown remasking {0:?}")]
    Remasking(String),

    /// The name is not that of a [`NoiseSchedule`](crate::schedule::NoiseSchedule).
    #[error("unknown noise_schedule {0:?}")]
    NoiseSchedule(String),

    /// An input does not have the length that the other inputs imply.
    #[error("{name} has length {found}, expected {expected}")]
    Length {
        /// The name of the input.
        name: &'static str,
        /// The length that it has.
        found: usize,
        /// The length that it should have.
        expected: usize,
    },

    /// An index or a token id is out of range.
    #[error("{name} {index} is out of range, there are {length}")]
    Index {
        /// The name of the index.
        name: &'static str,
        /// The value of the index.
        index: usize,
        /// The number of valid indices, which start at zero.
        length: usize,
    },

    /// A length or a position exceeds its upper bound.
    #[error("{name} {found} exceeds {largest}")]
    TooLarge {
        /// The name of the value.
        name: &'static str,
        /// The value.
        found: usize,
        /// The largest valid value.
        largest: usize,
    },

    /// A real number lies outside of its interval.
    #[error("{name} {found} is outside of [{lowest}, {highest}]")]
    OutOfRange {
        /// The name of the number.
        name: &'static str,
        /// The number.
        found: f64,
        /// The lower end of the interval.
        lowest: f64,
        /// The upper end of the interval.
        highest: f64,
    },

    /// A state of an automaton has two edges for the same class of tokens.
    #[error("two edges of a state have the class {class}")]
    Ambiguous {
        /// The class.
        class: u32,
    },

    /// Two rows of a batch have one slot and compute different positions.
    #[error("row {row} cannot share its slot with an earlier one")]
    SharedSlot {
        /// The index of the later row.
        row: usize,
    },

    /// All weights of a joint distribution are zero.
    #[error("the joint distribution sums to 0")]
    ZeroMass,
}

impl CoreError {
    /// Returns a remedy for the error, if one is known.
    pub fn hint(&self) -> Option<Hint> {
        match *self {
            Self::Zero { .. } => Some(Hint::Advice("it has to be at least 1".to_owned())),
            Self::BlockLength { block_length, gen_length } => {
                Some(Hint::set("block_length", nearest_divisors(gen_length, block_length)))
            }
            Self::Steps { steps, blocks } => {
                let fewer = Some(steps / blocks * blocks).filter(|&steps| steps > 0);
                Some(Hint::set("steps", fewer.into_iter().chain(steps.checked_next_multiple_of(blocks))))
            }
            Self::TooFewSteps { blocks, .. } => Some(Hint::set("steps", [blocks])),
            Self::Remasking(_) => Some(Hint::one_of(Remasking::VARIANTS)),
            Self::NoiseSchedule(_) => Some(Hint::one_of(NoiseSchedule::VARIANTS)),
            _ => None,
        }
    }

    /// Refuses an input that does not have the expected length.
    pub(crate) fn check_length(name: &'static str, found: usize, expected: usize) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self::Length { name, found, expected }) }
    }

    /// Refuses a count that is zero.
    pub(crate) fn check_positive(name: &'static str, found: usize) -> Result<(), Self> {
        if found == 0 { Err(Self::Zero { name }) } else { Ok(()) }
    }

    /// Refuses an index that is not less than `length`.
    pub(crate) fn check_index(name: &'static str, index: usize, length: usize) -> Result<(), Self> {
        if index < length { Ok(()) } else { Err(Self::Index { name, index, length }) }
    }

    /// Refuses a value greater than `largest`.
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

/// Returns the largest divisor of `number` below `bound` and the smallest from `bound` on, where they exist.
fn nearest_divisors(number: usize, bound: usize) -> Vec<usize> {
    let below = (1..bound.min(number + 1)).rev().find(|&divisor| number.is_multiple_of(divisor));
    let above = (bound..=number).find(|&divisor| number.is_multiple_of(divisor));
    below.into_iter().chain(above).collect()
}
