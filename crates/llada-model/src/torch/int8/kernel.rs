//! The kernels for eight-bit products, and their support by the processor.

use std::fmt;

unsafe extern "C" {
    fn llada_int8_runs(kernel: i64) -> bool;
}

/// A kernel for eight-bit products, named after its instructions. All kernels compute the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
#[non_exhaustive]
pub enum Int8Kernel {
    /// Intel AMX tiles, which the operating system has to grant.
    Amx,
    /// VNNI in registers of 512 bits.
    Avx512Vnni,
    /// VNNI in registers of 256 bits.
    AvxVnni,
}

impl Int8Kernel {
    /// All kernels, in order of decreasing speed.
    pub const ALL: [Self; 3] = [Self::Amx, Self::Avx512Vnni, Self::AvxVnni];

    /// Returns true if the processor has the instructions and the operating system lets this process use them.
    pub fn is_supported(self) -> bool {
        // SAFETY: the function only asks the processor and the system.
        unsafe { llada_int8_runs(self as i64) }
    }

    /// Returns the fastest supported kernel, or `None` on processors without instructions for eight-bit products.
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
