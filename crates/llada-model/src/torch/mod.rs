//! The only place for raw tensor constructors, `unsafe` on tensors, C++ shims, dtypes and devices.
//!
//! Everything above speaks of tensors through safe functions that return errors.

pub(crate) mod bf16;
pub(crate) mod device;
pub(crate) mod dtype;
pub(crate) mod gradient;
pub(crate) mod int8;
pub(crate) mod shim;
pub(crate) mod tensor;
pub(crate) mod top_token;

pub use device::Device;
pub use dtype::{Dtype, Precision};
pub use int8::Int8Kernel;

/// Sets the number of threads that one libtorch operation may use.
///
/// libtorch's own default is the number of physical cores. How its threads wait for one another is settled by
/// `GOMP_SPINCOUNT` and `OMP_WAIT_POLICY` in the environment that the program is started with.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}
