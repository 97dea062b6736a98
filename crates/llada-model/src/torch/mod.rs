//! The interface to libtorch. Raw tensor constructors, `unsafe` code on tensors and C++ code are in this module only;
//! it offers them to the rest of the crate as safe functions that return errors.

pub(crate) mod bf16;
pub(crate) mod cuda_graph;
pub(crate) mod device;
pub(crate) mod dtype;
pub(crate) mod gradient;
pub(crate) mod int8;
pub(crate) mod matrix;
pub(crate) mod shim;
pub(crate) mod tensor;
pub(crate) mod top_token;

pub use device::Device;
pub use dtype::{Dtype, Precision};
pub use int8::Int8Kernel;

/// Sets the number of threads that one operation of libtorch may use. The default is the number of physical cores.
///
/// The variables `GOMP_SPINCOUNT` and `OMP_WAIT_POLICY` in the environment at the start of the program determine how
/// the threads wait for one another.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}
