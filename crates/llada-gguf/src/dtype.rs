//! The types in which tensors are stored: plain numbers, and blocks of numbers that share a scale.

use std::fmt;

/// A type of tensors that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GgmlType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats of IEEE 754.
    F16,
    /// The upper halves of 32-bit floats.
    Bf16,
    /// Blocks of 32 four-bit numbers with a scale.
    Q4_0,
    /// Blocks of 32 four-bit numbers with a scale and a minimum.
    Q4_1,
    /// Blocks of 32 eight-bit numbers with a scale.
    Q8_0,
    /// Blocks of 256 six-bit numbers, whose 16 sub-blocks have eight-bit scales of a common scale.
    Q6K,
}

impl GgmlType {
    /// All types that are read.
    pub const ALL: [Self; 7] = [Self::F32, Self::F16, Self::Bf16, Self::Q8_0, Self::Q4_0, Self::Q4_1, Self::Q6K];

    /// Returns the type with this number in ggml's `enum ggml_type`.
    pub(crate) fn of_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.number() == number)
    }

    /// Returns the number of the type in ggml's `enum ggml_type`.
    pub fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 8,
            Self::Q6K => 14,
            Self::Bf16 => 30,
        }
    }

    /// Returns the number of values in a block; 1 for plain numbers.
    pub fn block_length(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q8_0 => 32,
            Self::Q6K => 256,
        }
    }

    /// Returns the size of a block in bytes.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            // The scale is an F16, and so is the minimum.
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 2 + 2 + 16,
            Self::Q8_0 => 2 + 32,
            // Lower four bits, upper two bits, scales of sub-blocks, the scale of these.
            Self::Q6K => 128 + 64 + 16 + 2,
        }
    }
}

/// The name that ggml gives the type.
impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q8_0 => "Q8_0",
            Self::Q6K => "Q6_K",
        })
    }
}
