//! The instructions that eight-bit products can run on, and which of them the processor has.

use std::fmt;

unsafe extern "C" {
    fn llada_int8_runs(kernel: i64) -> bool;
}

/// A kernel of eight-bit products, by the instructions it is made of. All of them give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
#[non_exhaustive]
pub enum Int8Kernel {
    /// Tiles of Intel's AMX, where the system grants them.
    Amx,
    /// VNNI in registers of 512 bits.
    Avx512Vnni,
    /// VNNI in registers of 256 bits.
    AvxVnni,
}

impl Int8Kernel {
    /// All kernels, the fastest first.
    pub const ALL: [Self; 3] = [Self::Amx, Self::Avx512Vnni, Self::AvxVnni];

    /// Returns whether the processor has the instructions, and the system lets this process use them.
    pub fn is_supported(self) -> bool {
        // SAFETY: the function only asks the processor and the system.
        unsafe { llada_int8_runs(self as i64) }
    }

    /// The fastest kernel that is supported; none on processors without instructions for eight-bit products.
    pub fn best() -> Option<Self> {
        Self::ALL.into_iter().find(|kernel| kernel.is_supported())
    }
}

impl fmt::Display for Int8Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amx => "AMX",
            Self::Avx512Vnni => "AVX-512 VNNI",
            Self::AvxVnni => "AVX-VNNI",
        })
    }
}
