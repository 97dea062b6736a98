//! The one error of this crate.

/// What can be wrong with the numbers handed to this crate.
///
/// Messages name the offending value; where a setting is wrong they end in a `hint:` that says what
/// would work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A count that has to be positive is zero.
    #[error("{name} is 0; hint: it has to be at least 1")]
    Zero {
        /// The setting, as the paper and the configuration spell it.
        name: &'static str,
    },

    /// The answer cannot be cut into whole blocks.
    #[error("block_length {block_length} does not divide gen_length {gen_length}; hint: {hint}")]
    BlockLength {
        /// The refused block length, in tokens.
        block_length: usize,
        /// The length of the answer, in tokens.
        gen_length: usize,
        /// The nearest block lengths that do divide it.
        hint: String,
    },

    /// The steps cannot be shared out evenly among the blocks.
    #[error("steps {steps} is not a multiple of the number of blocks, {blocks}; hint: {hint}")]
    Steps {
        /// The refused number of steps.
        steps: usize,
        /// The number of blocks, `gen_length / block_length`.
        blocks: usize,
        /// The nearest numbers of steps that are multiples of it.
        hint: String,
    },

    /// A name that no [`Remasking`](crate::order::Remasking) has.
    #[error("unknown remasking {0:?}; hint: low_confidence, random, margin or entropy")]
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
    Outside {
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
    NoMass,
}

impl CoreError {
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
        if (lowest..=highest).contains(&found) { Ok(()) } else { Err(Self::Outside { name, found, lowest, highest }) }
    }
}
